"""The compiled functions of a worker's latest job, for later jobs that can use the same ones.

Tracing takes longer than training a small model. Jobs that differ only in values of variables run
the same functions, after their own initial values are assigned to the variables.
"""

from expt.parts.data.augmentation import Augmentation
from expt.train.executors.single import SingleExecutor
from expt.train.input.pipeline import is_streamed
from expt.train.program import Program
from expt.train.program_key import program_key

# For a moment there are two copies of the variables.
_MOST_BYTES = 2**28


class KeptProgram:
    """The compiled program of a finished job, and its key."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._executor: SingleExecutor | None = None

    def take(self, program: Program) -> SingleExecutor | None:
        """Returns an executor that runs a program with the kept functions, from its first step.

        The results are bit for bit those of a new executor. The kept program is forgotten, so that
        its memory is free if the job needs another one.

        Args:
            program: A new program, with initial values in its variables.

        Returns:
            The executor; None if the functions of the kept program are others.
        """
        executor, key, self._executor = self._executor, self._key, None
        if executor is None or key != program_key(program.job):
            return None
        # The same object: the functions contain the data.
        if executor.program.dataset is not program.dataset:
            return None
        return executor.restarted(program)

    def keep(self, executor: SingleExecutor) -> None:
        """Keeps the functions of a job that has finished, if another job may use them."""
        key = program_key(executor.program.job)
        if key is not None and _depends_on_variables_only(executor):
            self._key, self._executor = key, executor


def _depends_on_variables_only(executor: SingleExecutor) -> bool:
    """Whether the seed is in no constant of the functions, and all state is in variables."""
    program, dataset = executor.program, executor.program.dataset
    is_in_memory = not any(is_streamed(split) for _, split in dataset.splits())
    size = sum(variable.value.numpy().nbytes for variable in executor.state.variables.values())
    return (
        is_in_memory
        and dataset.augmentation == Augmentation()  # draws from the seed and the step
        and not program.schedules
        and size <= _MOST_BYTES
    )
