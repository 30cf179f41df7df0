"""The executor for one run on one device, driven by the host from block to block."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError
from expt.record.recorder import Scalars
from expt.train.backend import as_user_errors
from expt.train.evaluation import Evaluate
from expt.train.executors import Evaluated
from expt.train.executors.block import RunBlock, make_run_block
from expt.train.preflight import unchanged
from expt.train.program import Program
from expt.train.state import averages_in_place, make_state
from expt.train.timeline import Timeline

_BLOCK_SECONDS = 0.5
"""About how long a block lasts: long enough to cost nothing, short enough for a live display."""

_FIRST_BLOCK = 8
CAPACITY = 1024
"""The most steps in a block."""


class NonFiniteLossError(RunError):
    """A loss became NaN or infinite."""


class SingleExecutor:
    """Runs a program on one device; an `Executor`.

    A segment is a block of steps in one compiled call, and the evaluation that is due at its end.
    """

    def __init__(self, program: Program, first_step: int = 0) -> None:
        """Compiles the program.

        Args:
            program: What to run.
            first_step: The step to begin after; 0 for a new run.

        Raises:
            UserError: TensorFlow can't compile a part.
        """
        self.program = program
        with as_user_errors("the step can't be compiled"):
            self._run_block = compile_block(program, first_step)
            self._evaluate = program.make_evaluate(program.dataset.validation)
            self._test = program.make_evaluate(program.dataset.test)
        self.state = make_state(program)
        self._pace = _Pace()
        self._evaluated: tuple[int, Evaluated] | None = None

    def run(self, until: int) -> Iterator[Scalars]:
        """Trains a block and evaluates if that is due."""
        timeline, progress = self.program.timeline, self.state.progress
        first = progress.step
        count = min(until, timeline.next_evaluation(first)) - first
        indices = timeline.indices(first, min(count, self._pace.block_length()))
        began, started = time.time(), time.perf_counter()
        rows = self._run_block(first, indices)
        seconds = time.perf_counter() - started
        scalars = _train_scalars(timeline, first, rows, (began, seconds))
        self._pace.add(len(scalars.steps), seconds)
        step = progress.step = first + len(scalars.steps)
        yield scalars
        progress.values |= scalars.last()
        _stop_unless_finite(scalars.last(), step, timeline)
        progress.reason = self.state.stopping.after_block(rows["loss"].tolist())
        if timeline.evaluates_after(step) or progress.reason is not None:
            yield from self.evaluate_last()
        if step == timeline.total_steps:
            progress.reason = None  # it ends as planned

    def evaluate_last(self) -> Iterator[Scalars]:
        """Evaluates the validation split for the record, unless it was at this step already."""
        timeline, progress, best = self.program.timeline, self.state.progress, self.state.best
        step, monitor = progress.step, self.program.monitor
        if self._evaluated is not None and self._evaluated[0] == step:
            return
        with self._averages():
            evaluated = _named("val", self._evaluate)
            _stop_unless_weights_finite(best.networks, step)
            best.consider(step, evaluated.values)
        self._evaluated = step, evaluated
        for schedule in self.program.schedules:
            schedule.consider(evaluated.values[monitor.metric], monitor.larger_is_better)
        rate = self._pace.read()
        speed = {"perf/steps_per_s": rate, "perf/examples_per_s": rate * timeline.batch_size}
        yield Scalars.single(step, timeline.epoch_of(step), {**evaluated.values, **speed})
        progress.values |= evaluated.values
        reason = self.state.stopping.after_evaluation(evaluated.values)
        progress.reason = progress.reason or reason

    def validation(self) -> Evaluated:
        """Returns the evaluation of this step; makes one that changes nothing if there is none.

        Layers that draw random numbers or count their calls in evaluation, too, get their states
        back, so that hooks don't change a run's numbers.
        """
        step = self.state.progress.step
        if self._evaluated is None or self._evaluated[0] != step:
            with self._averages(), unchanged(self.program.learner.networks):
                return _named("val", self._evaluate)
        return self._evaluated[1]

    def test(self) -> Evaluated:
        """Evaluates the test split with the weights in place."""
        return _named("test", self._test)

    def _averages(self) -> AbstractContextManager[None]:
        learner = self.program.learner
        return averages_in_place(learner.networks, learner.optimizers)


def compile_block(program: Program, first_step: int = 0) -> RunBlock:
    """Returns the compiled function that trains a block of a program's steps.

    Args:
        program: What to compile.
        first_step: The first step that it will be asked for, counted from 0.
    """
    loop = program.job.config.loop
    return make_run_block(
        program.learner.step,
        program.make_pipeline(first_step),
        program.timeline.batch_size,
        CAPACITY,
        loop.compile,
        loop.target_loss,
    )


@dataclass
class _Pace:
    """How fast the blocks go."""

    steps: int = 0
    seconds: float = 0.0
    _since_read: tuple[int, float] = field(default=(0, 0.0))

    def add(self, steps: int, seconds: float) -> None:
        self.steps += steps
        self.seconds += seconds

    def block_length(self) -> int:
        if self.steps == 0:
            return _FIRST_BLOCK
        return max(1, min(CAPACITY, int(_BLOCK_SECONDS * self.steps / self.seconds)))

    def read(self) -> float:
        """Steps a second since the last reading."""
        steps, seconds = self.steps - self._since_read[0], self.seconds - self._since_read[1]
        self._since_read = (self.steps, self.seconds)
        return steps / seconds


def _named(split: str, evaluate: Evaluate) -> Evaluated:
    values, predictions = evaluate()
    return Evaluated({f"{split}/{name}": value for name, value in values.items()}, predictions)


def _stop_unless_weights_finite(networks: Sequence[keras.Model], step: int) -> None:
    """An activation such as relu can turn NaN into 0, and then no loss shows it."""
    for network in networks:
        for variable in network.variables:
            if not np.isfinite(variable.numpy()).all():
                raise NonFiniteLossError(
                    f"the weights {variable.path} have become NaN or infinite by step {step}, "
                    "though the loss is finite. A smaller optimizer.learning_rate is the usual "
                    "remedy."
                )


def _train_scalars(
    timeline: Timeline,
    step: int,
    rows: Mapping[str, NDArray[np.float32]],
    measured: tuple[float, float],
) -> Scalars:
    """Puts a block's numbers on their steps; a step's time is interpolated within the block.

    Args:
        timeline: Of the run.
        step: The last step before the block.
        rows: By metric, a value for each step.
        measured: When the block began, in seconds since 1970, and how many seconds it took.
    """
    steps = np.arange(step + 1, step + 1 + len(rows["loss"]))
    began, seconds = measured
    return Scalars(
        steps=steps,
        epochs=(steps - 1) // timeline.steps_per_epoch + 1,
        times=began + seconds * (steps - step) / len(steps),
        values={f"train/{name}": column for name, column in rows.items()},
    )


def _stop_unless_finite(values: Mapping[str, float], step: int, timeline: Timeline) -> None:
    losses = [n for n in values if n == "train/loss" or n.endswith("_loss")]
    lost = next((name for name in losses if not np.isfinite(values[name])), None)
    if lost is not None:
        others = ", ".join(
            f"{name.removeprefix('train/')} {value:.3g}"
            for name, value in values.items()
            if name not in losses
        )
        raise NonFiniteLossError(
            f"{lost} became {values[lost]} at step {step} (epoch {timeline.epoch_of(step)}; "
            f"{others}). A smaller optimizer.learning_rate is the usual remedy."
        )
