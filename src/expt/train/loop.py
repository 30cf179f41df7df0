"""The loop: blocks of steps, and between them whatever is due."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError
from expt.record.recorder import Image, Recorder, Scalars
from expt.train.block import RunBlock
from expt.train.evaluate import Evaluate
from expt.train.plan import Plan
from expt.train.state import Best

_BLOCK_SECONDS = 0.5
"""About how long a block lasts: long enough to cost nothing, short enough for a live display."""

_FIRST_BLOCK = 8
CAPACITY = 1024
"""The most steps in a block."""


class NonFiniteLossError(RunError):
    """The loss became NaN or infinite."""


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


def train(
    plan: Plan,
    run_block: RunBlock,
    evaluate: Evaluate,
    best: Best,
    recorder: Recorder,
    draw: Callable[[int, NDArray[np.float32]], Iterable[Image]],
    check_signals: Callable[[], None],
) -> dict[str, float]:
    """Trains to the end of the plan.

    Args:
        plan: How long, and when to do what.
        run_block: Trains some steps.
        evaluate: Evaluates the validation split.
        best: Is shown each evaluation.
        recorder: Is given every number and image.
        draw: Makes images of a step's validation outputs.
        check_signals: Is called before each block, to raise if training is to stop there.

    Returns:
        The last values of all metrics by full name.

    Raises:
        NonFiniteLossError: The loss became NaN or infinite; everything up to then is recorded.
    """
    step, pace, last = 0, _Pace(), dict[str, float]()
    while step < plan.total_steps:
        check_signals()
        count = min(plan.steps_to_border(step), pace.block_length())
        indices = plan.indices(step, count)
        began, started = time.time(), time.perf_counter()
        rows = run_block(indices)
        seconds = time.perf_counter() - started
        scalars = _train_scalars(plan, step, rows, began, seconds)
        pace.add(len(scalars.steps), seconds)
        step += len(scalars.steps)
        recorder.write(scalars)
        last |= scalars.last()
        _stop_unless_finite(last, step, plan)

        evaluating, drawing = plan.evaluates_after(step), plan.draws_after(step)
        if not (evaluating or drawing):
            continue
        values, outputs = evaluate()
        if evaluating:
            numbers = {f"val/{name}": value for name, value in values.items()}
            best.consider(step, numbers)
            rate = pace.read()
            speed = {"perf/steps_per_s": rate, "perf/examples_per_s": rate * plan.batch_size}
            recorder.write(Scalars.single(step, plan.epoch_of(step), {**numbers, **speed}))
            last |= numbers
        if drawing:
            for image in draw(step, outputs):
                recorder.write(image)
    return last


def _train_scalars(
    plan: Plan, step: int, rows: dict[str, NDArray[np.float32]], began: float, seconds: float
) -> Scalars:
    """Puts a block's numbers on their steps; a step's time is interpolated within the block."""
    steps = np.arange(step + 1, step + 1 + len(rows["loss"]))
    return Scalars(
        steps=steps,
        epochs=(steps - 1) // plan.steps_per_epoch + 1,
        times=began + seconds * (steps - step) / len(steps),
        values={f"train/{name}": column for name, column in rows.items()},
    )


def _stop_unless_finite(last: dict[str, float], step: int, plan: Plan) -> None:
    if not np.isfinite(last["train/loss"]):
        raise NonFiniteLossError(
            f"the loss became {last['train/loss']} at step {step} (epoch {plan.epoch_of(step)}; "
            f"gradient norm {last['train/grad_norm']:.3g}, learning rate "
            f"{last['train/learning_rate']:.3g}). A smaller optimizer.learning_rate is the usual "
            "remedy."
        )
