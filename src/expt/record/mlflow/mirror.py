"""The MLflow mirror: makes the MLflow run of a run or a sweep equal to its directory.

The live recorder, a sweep and `expt.sync` use it. It is idempotent: the content of MLflow is
compared with the files, so that nothing is duplicated or missing even if previous processes were
killed.
"""

from collections.abc import Callable
from typing import Protocol

from expt.record.mlflow.additions import Additions
from expt.record.mlflow.run_mirror import RunMirror
from expt.record.mlflow.sweep_mirror import SweepMirror
from expt.runs.run import Run, SweepAsRun


class Mirror(Protocol):
    """The copy of a run or a sweep in MLflow, which follows the files.

    Attributes:
        added: The parts that this mirror has added to MLflow.
    """

    added: Additions

    def advance(self) -> None:
        """Adds what the files have and MLflow lacks."""

    def finish(self) -> None:
        """Adds the final values and the status; must be called after `advance`."""


def open_mirror(
    run: Run,
    extend_deadline: Callable[[float], None],
    *,
    is_new: bool = False,
    restore: bool = False,
) -> Mirror:
    """Finds or creates the MLflow run of a run or a sweep.

    Args:
        run: A run; or a sweep represented as a run, whose record is a `SweepAsRun`.
        extend_deadline: Called before each request with its maximum duration in seconds.
        is_new: Whether no previous process or attempt can have created the MLflow run.
        restore: Whether to restore a run or an experiment that was deleted in MLflow.

    Raises:
        DeletedError: The run or its experiment was deleted, and `restore` is false.
    """
    if isinstance(run.record, SweepAsRun):
        return SweepMirror(run, extend_deadline, restore=restore)
    return RunMirror(run, is_new, extend_deadline, restore=restore)


def mirror(run: Run, *, restore: bool = False) -> Additions:
    """Makes the MLflow run of a finished run or sweep equal to its directory.

    Args:
        run: See `open_mirror`.
        restore: Whether to restore a run or an experiment that was deleted in MLflow.

    Returns:
        The parts that were added to MLflow.

    Raises:
        DeletedError: The run or its experiment was deleted, and `restore` is false.
    """
    opened = open_mirror(run, lambda _seconds: None, restore=restore)
    opened.advance()
    opened.finish()
    return opened.added
