"""The loop: blocks of steps, and between them whatever is due."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError
from expt.record.recorder import Image, Recorder, Scalars
from expt.train.block import RunBlock
from expt.train.evaluation import Evaluate
from expt.train.monitor import BestWeights, EarlyStopping, Monitor
from expt.train.preflight import unchanged
from expt.train.program import DrivenByValidation
from expt.train.state import Progress
from expt.train.timeline import Timeline

_BLOCK_SECONDS = 0.5
"""About how long a block lasts: long enough to cost nothing, short enough for a live display."""

_FIRST_BLOCK = 8
CAPACITY = 1024
"""The most steps in a block."""


class NonFiniteLossError(RunError):
    """A loss became NaN or infinite."""


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


@dataclass(frozen=True)
class Evaluation:
    """What the loop does when validation is due.

    Attributes:
        evaluate: Evaluates the validation split.
        averages: Puts averaged weights, if there are any, in place meanwhile.
        monitor: The metric that counts.
        best: Is shown each evaluation, with the averaged weights in place.
        schedules: Learning rates that are driven by the watched metric.
    """

    evaluate: Evaluate
    averages: Callable[[], AbstractContextManager[None]]
    monitor: Monitor
    best: BestWeights
    schedules: Sequence[DrivenByValidation] = ()

    def run(self, step: int) -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
        """Returns the values by full name, and the predictions; the best and schedules see them."""
        with self.averages():
            values, outputs = self.evaluate()
            numbers = {f"val/{name}": value for name, value in values.items()}
            _stop_unless_weights_finite(self.best.networks, step)
            self.best.consider(step, numbers)
        for schedule in self.schedules:
            schedule.consider(numbers[self.monitor.metric], self.monitor.larger_is_better)
        return numbers, outputs

    def outputs(self) -> NDArray[np.floating[Any]]:
        """Returns the predictions alone, which nothing sees but the images.

        `loop.image_every` must not change a run's numbers, so that layers which draw random
        numbers or count their calls in evaluation, too, get their states back.
        """
        with self.averages(), unchanged(self.best.networks):
            return self.evaluate()[1]


def train(
    timeline: Timeline,
    progress: Progress,
    run_block: RunBlock,
    evaluation: Evaluation,
    stopping: EarlyStopping,
    recorder: Recorder,
    draw: Callable[[int, NDArray[np.floating[Any]]], Iterable[Image]],
    save: Callable[[], None],
    check_signals: Callable[[], None],
) -> None:
    """Trains to the end of the timeline, or until there is a reason to stop.

    Args:
        timeline: How long, and when to do what.
        progress: Where to begin; it is kept up to date.
        run_block: Trains some steps.
        evaluation: What to do when validation is due, and at the end.
        stopping: Is asked after each block and each evaluation.
        recorder: Is given every number and image.
        draw: Makes images of a step's validation outputs; of those before the first step, too.
        save: Is called when a checkpoint is due, after all else that is due at the step.
        check_signals: Is called before each block, to raise if training is to stop there. All
            that is due at the last step is done then.

    Raises:
        NonFiniteLossError: A loss became NaN or infinite; everything up to then is recorded.
    """
    pace = _Pace()
    if progress.step == 0 and timeline.draws_after(0):
        _record(draw(0, evaluation.outputs()), recorder)
    while progress.step < timeline.total_steps and progress.reason is None:
        check_signals()
        first = progress.step
        count = min(timeline.steps_to_border(first), pace.block_length())
        indices = timeline.indices(first, count)
        began, started = time.time(), time.perf_counter()
        rows = run_block(first, indices)
        seconds = time.perf_counter() - started
        scalars = _train_scalars(timeline, first, rows, began, seconds)
        pace.add(len(scalars.steps), seconds)
        step = progress.step = first + len(scalars.steps)
        recorder.write(scalars)
        progress.values |= scalars.last()
        _stop_unless_finite(scalars.last(), step, timeline)

        progress.reason = stopping.after_block(rows["loss"].tolist())
        evaluating = timeline.evaluates_after(step) or progress.reason is not None
        drawing = timeline.draws_after(step)
        if evaluating:
            numbers, outputs = evaluation.run(step)
            rate = pace.read()
            speed = {"perf/steps_per_s": rate, "perf/examples_per_s": rate * timeline.batch_size}
            recorder.write(Scalars.single(step, timeline.epoch_of(step), {**numbers, **speed}))
            progress.values |= numbers
            progress.reason = progress.reason or stopping.after_evaluation(numbers)
            drawing = drawing or (progress.reason is not None and timeline.draws_at_end)
        elif drawing:
            outputs = evaluation.outputs()
        if drawing:
            _record(draw(step, outputs), recorder)
        if step == timeline.total_steps:
            progress.reason = None  # it ends as planned
        if timeline.saves_after(step):
            save()


def _record(images: Iterable[Image], recorder: Recorder) -> None:
    for image in images:
        recorder.write(image)


def _stop_unless_weights_finite(networks: Sequence[keras.Model], step: int) -> None:
    """An activation such as relu can turn NaN into 0, and then no loss tells of it."""
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
    rows: dict[str, NDArray[np.float32]],
    began: float,
    seconds: float,
) -> Scalars:
    """Puts a block's numbers on their steps; a step's time is interpolated within the block."""
    steps = np.arange(step + 1, step + 1 + len(rows["loss"]))
    return Scalars(
        steps=steps,
        epochs=(steps - 1) // timeline.steps_per_epoch + 1,
        times=began + seconds * (steps - step) / len(steps),
        values={f"train/{name}": column for name, column in rows.items()},
    )


def _stop_unless_finite(values: dict[str, float], step: int, timeline: Timeline) -> None:
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
            f"{others}). "
            "A smaller optimizer.learning_rate is the usual remedy."
        )
