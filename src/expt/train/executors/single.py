"""The executor for one run on one device; the host starts each block of steps."""

import copy
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from expt.record.recorder import Scalars
from expt.train.backend import as_user_errors
from expt.train.evaluation import Evaluate
from expt.train.executors import Evaluated
from expt.train.executors.block import RunBlock, make_run_block
from expt.train.executors.divergence import check_finite_losses, check_finite_weights
from expt.train.executors.validation import Validation, make_validation
from expt.train.preflight import preserve_states
from expt.train.program import Program
from expt.train.state import averages_in_place, make_state, state_variables
from expt.train.timeline import Timeline

_BLOCK_SECONDS = 0.5
"""The target duration of a block in seconds.

Long enough that the overhead of calls is negligible, short enough for a live progress display.
"""

_FIRST_BLOCK_STEPS = 8  # a guess, made before any step is measured
CAPACITY = 4096
"""The maximum number of steps in a block."""
_MOST_EXAMPLES = 2**20  # in a block, since XLA pads the indices of each block to the largest


class SingleExecutor:
    """An `Executor` that runs a program on one device.

    A segment is a block of steps, with the evaluations among them, in one compiled call. If a
    program must be evaluated on the host, a segment ends at its first evaluation.
    """

    def __init__(self, program: Program, first_step: int = 0) -> None:
        """Compiles the program.

        Args:
            program: The program to run.
            first_step: The number of completed steps; 0 for a new run.

        Raises:
            UserError: TensorFlow can't compile the step or the evaluation.
        """
        self.program = program
        with as_user_errors("the step can't be compiled", program.job.config):
            self._evaluate = program.make_evaluate(program.dataset.validation)
            self._test = program.make_evaluate(program.dataset.test)
            self.state = make_state(program)
            self._validation = make_validation(program, self._evaluate, self.state.best)
            self._run_block = compile_block(program, first_step, self._validation)
        self._throughput = _Throughput(block_capacity(program.timeline.batch_size))
        self._evaluated: tuple[int, Evaluated] | None = None

    def restarted(self, program: Program) -> "SingleExecutor":
        """Returns an executor of a new program that runs the compiled functions of this one.

        Args:
            program: A program with the same functions; its initial values are assigned to the
                variables of this executor, which can't be used any more.
        """
        own = self.program
        new = copy.copy(self)
        new.program = replace(program, learner=own.learner)
        initial = state_variables(program.learner, program.schedules)
        for name, variable in self.state.variables.items():
            variable.assign(initial[name])
        self.state.best.reset()
        new.state = replace(make_state(new.program), best=self.state.best)
        new._throughput, new._evaluated = _Throughput(self._throughput.capacity), None
        return new

    def run(self, until: int) -> Iterator[Scalars]:
        """Trains a block of steps, with the evaluations that are due.

        Yields:
            The scalars of the steps, cut after each evaluated step, and those of each evaluation.
        """
        timeline, progress = self.program.timeline, self.state.progress
        first = progress.step
        last = self._last_step(first, until)
        indices = timeline.indices(first, last - first)
        steps = range(first + 1, last + 1)
        due = np.array([timeline.evaluates_after(step) for step in steps])
        # Two clocks: records have the time of day, durations need a clock that is never set back.
        began, started = time.time(), time.perf_counter()
        block = self._run_block(first, indices, due)
        seconds = time.perf_counter() - started
        scalars = _train_scalars(timeline, first, block.scalars, (began, seconds))
        self._throughput.add(len(scalars.steps), seconds)
        step = progress.step = first + len(scalars.steps)
        reason, start = None, 0
        for index, row in block.evaluations.items():
            yield scalars[start : index + 1]
            start, is_last = index + 1, index + 1 == len(scalars.steps)
            reason = yield from self._add_evaluation(scalars[index:start], row, is_last=is_last)
        # Yielded before the check, so that the journal has the step at which a loss became NaN.
        if start < len(scalars.steps):
            yield scalars[start:]
        progress.values |= scalars.last()
        check_finite_losses(scalars.last(), step, timeline)
        progress.reason = self.state.stopping.after_block(block.scalars["loss"].tolist()) or reason
        if timeline.evaluates_after(step) or progress.reason is not None:
            yield from self.evaluate()
        if step == timeline.total_steps:
            progress.reason = None  # the run ends as planned, not early

    def _last_step(self, first: int, until: int) -> int:
        """Returns the last step of the segment after step `first`, which is at most `until`."""
        timeline = self.program.timeline
        latest = min(until, first + self._throughput.block_length())
        last = timeline.next_evaluation(first)
        left = 1.0 if self._validation is None else self.state.stopping.evaluations_left
        # At the last evaluation that fits, since hooks are often due there. There is only one if it
        # needs the host, and none after the first one that may end training.
        while left > 1 and last < (following := timeline.next_evaluation(last)) <= latest:
            last, left = following, left - 1
        return min(last, latest)

    def _add_evaluation(
        self, scalars: Scalars, row: NDArray[np.float64], *, is_last: bool
    ) -> Generator[Scalars, None, str | None]:
        """Adds an evaluation within a block to the state.

        Args:
            scalars: The scalars of the step that was evaluated.
            row: The values of the evaluation.
            is_last: Whether the block ends at this step.

        Yields:
            The scalars of the evaluation.

        Returns:
            A reason to stop after it, or None.
        """
        assert self._validation is not None
        progress, (step,) = self.state.progress, scalars.steps.tolist()
        progress.values |= scalars.last()
        if is_last:
            # A block ends at the first evaluation of weights that are not finite.
            check_finite_weights(self.state.best.networks, step)
            self._evaluated = step, self._validation.latest(row)
        values = self._validation.values(row)
        self.state.best.note(step, values)
        epoch, moment = int(scalars.epochs[0]), float(scalars.times[0])
        yield Scalars.single(step, epoch, {**values, **self._speed()}, moment)
        progress.values |= values
        return self.state.stopping.after_evaluation(values)

    def evaluate(self) -> Iterator[Scalars]:
        """Evaluates the validation split as part of the run, unless done at this step already."""
        timeline, progress, best = self.program.timeline, self.state.progress, self.state.best
        step, monitor = progress.step, self.program.monitor
        if self._evaluated is not None and self._evaluated[0] == step:
            return
        with self._averages():
            evaluated = _with_split_name("val", self._evaluate)
            check_finite_weights(best.networks, step)
            # Called with the averages in place, since the evaluated weights are the ones to keep.
            best.consider(step, evaluated.values)
        self._evaluated = step, evaluated
        for schedule in self.program.schedules:
            schedule.consider(evaluated.values[monitor.metric], monitor.larger_is_better)
        values = {**evaluated.values, **self._speed()}
        yield Scalars.single(step, timeline.epoch_of(step), values)
        progress.values |= evaluated.values
        reason = self.state.stopping.after_evaluation(evaluated.values)
        progress.reason = progress.reason or reason

    def evaluate_validation(self) -> Evaluated:
        """Returns this step's evaluation; if there is none, evaluates without side effects."""
        step = self.state.progress.step
        if self._evaluated is None or self._evaluated[0] != step:
            # Some layers draw random numbers or count their calls in evaluation, too. If their
            # states were not restored, a hook would change the results of the run.
            with self._averages(), preserve_states(self.program.learner.networks):
                return _with_split_name("val", self._evaluate)
        return self._evaluated[1]

    def evaluate_test(self) -> Evaluated:
        """Evaluates the test split with the current weights."""
        return _with_split_name("test", self._test)

    def _speed(self) -> Mapping[str, float]:
        rate, size = self._throughput.rate(), self.program.timeline.batch_size
        if rate is None:
            return {}
        return {"perf/steps_per_s": rate, "perf/examples_per_s": rate * size}

    def _averages(self) -> AbstractContextManager[None]:
        learner = self.program.learner
        return averages_in_place(learner.networks, learner.optimizers)


def block_capacity(batch_size: int) -> int:
    """Returns the maximum number of steps in a block of batches of this size."""
    return max(1, min(CAPACITY, _MOST_EXAMPLES // batch_size))


def compile_block(
    program: Program, first_step: int = 0, validation: Validation | None = None
) -> RunBlock:
    """Returns the compiled function that trains a block of a program's steps.

    Args:
        program: The program to compile.
        first_step: The first step that the function will be called for, counted from 0.
        validation: The evaluation within blocks; None for blocks without evaluations.
    """
    loop = program.job.config.loop
    return make_run_block(
        program.learner.step,
        program.make_pipeline(first_step),
        program.timeline.batch_size,
        block_capacity(program.timeline.batch_size),
        program.compilation.mode,
        loop.target_loss,
        validation,
    )


@dataclass
class _Throughput:
    """The measured speed of training, in steps per second.

    Args:
        capacity: The maximum number of steps in a block.
        steps: The number of steps so far.
        seconds: The time that they took.
    """

    capacity: int
    steps: int = 0
    seconds: float = 0.0
    _since_read: tuple[int, float] = field(default=(0, 0.0))
    _latest: float | None = None

    def add(self, steps: int, seconds: float) -> None:
        self.steps += steps
        self.seconds += seconds

    def block_length(self) -> int:
        """Returns the number of steps that take about `_BLOCK_SECONDS`.

        The number depends on measured times, but the results of training do not depend on it.
        """
        if self.steps == 0:
            return _FIRST_BLOCK_STEPS
        return max(1, min(self.capacity, int(_BLOCK_SECONDS * self.steps / self.seconds)))

    def rate(self) -> float | None:
        """Returns the steps per second since the previous call; None before the first step.

        Without new steps, as for further evaluations of the same block, the previous rate is
        returned.
        """
        steps, seconds = self.steps - self._since_read[0], self.seconds - self._since_read[1]
        if steps:
            self._since_read, self._latest = (self.steps, self.seconds), steps / seconds
        return self._latest


def _with_split_name(split: str, evaluate: Evaluate) -> Evaluated:
    values, predictions = evaluate()
    return Evaluated({f"{split}/{name}": value for name, value in values.items()}, predictions)


def _train_scalars(
    timeline: Timeline,
    step: int,
    rows: Mapping[str, NDArray[np.float32]],
    measured: tuple[float, float],
) -> Scalars:
    """Returns the scalars of a block; the time of a step is interpolated within the block.

    Args:
        timeline: The timeline of the run.
        step: The last step before the block.
        rows: By metric, the values of all steps of the block.
        measured: The start of the block in seconds since 1970, and its duration in seconds.
    """
    steps = np.arange(step + 1, step + 1 + len(rows["loss"]))
    began, seconds = measured
    return Scalars(
        steps=steps,
        epochs=(steps - 1) // timeline.steps_per_epoch + 1,
        times=began + seconds * (steps - step) / len(steps),
        values={f"train/{name}": column for name, column in rows.items()},
    )
