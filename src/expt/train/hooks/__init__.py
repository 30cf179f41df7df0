"""Hooks: callables that run at a cadence during training, and the `Moment` that they receive."""

import inspect
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.hooks import EVERY_KEY
from expt.config.instantiate import bind_part, call_part
from expt.config.job import Job
from expt.errors import UserError, hint
from expt.record.recorder import Histogram, Image, Recorder, Scalars
from expt.train.executors import Evaluated, Executor
from expt.train.timeline import Timeline

_RESERVED = ("perf/", "test/")


class Hook(Protocol):
    """A callable that runs between the steps of training."""

    def __call__(self, moment: "Moment") -> None:
        """Runs the hook after all scalars of the step have been recorded.

        Args:
            moment: The state of training after the step.
        """


class Moment:
    """The state of training after one of its steps, as hooks see it.

    A hook may read it, log values and images, and stop training. It must not change the weights.

    Attributes:
        recorder: Records scalars and images; `log` and `log_image` are shortcuts that also check
            names.
        step: The number of finished steps. Steps count from 1, so this is also the number of the
            last step.
    """

    def __init__(self, executor: Executor, recorder: Recorder) -> None:
        self._executor, self.recorder = executor, recorder
        self.step = executor.state.progress.step
        self._evaluation: Evaluated | None = None

    @property
    def timeline(self) -> Timeline:
        """The steps and epochs of the run."""
        return self._executor.program.timeline

    @property
    def epoch(self) -> int:
        """The epoch of the step, counted from 1; 0 before the first step."""
        return self.timeline.epoch_of(self.step)

    @property
    def is_last(self) -> bool:
        """Whether training ends at this step."""
        return self.step == self.timeline.total_steps or self.stop_reason is not None

    @property
    def stop_reason(self) -> str | None:
        """Why training ends before its planned last step; None if it does not."""
        return self._executor.state.progress.reason

    @property
    def values(self) -> Mapping[str, float]:
        """The latest value of every metric, by full name such as `train/loss`."""
        found = _ByName(self._executor.state.progress.values)
        found.later = {f"val/{name}" for name in self._executor.program.learner.reported}
        return found

    @property
    def model(self) -> keras.Model:
        """The model that is being trained."""
        return self._executor.program.learner.model

    @property
    def evaluation(self) -> Evaluated:
        """The evaluation of the validation split at this step.

        If the run has evaluated at this step, that result is returned. Otherwise the split is
        evaluated for the hooks, once per step; the result is not recorded and does not influence
        training.
        """
        # Cached, because several hooks may ask for it at one step.
        if self._evaluation is None:
            found = self._executor.evaluate_validation()
            self._evaluation = replace(found, values=_ByName(found.values))
        return self._evaluation

    def log(self, values: Mapping[str, float]) -> None:
        """Records scalars at this step, in the journal and all recorders.

        Args:
            values: Scalars by full name: a group, a slash, and the name, such as `weights/norm`.

        Raises:
            ValueError: A name has no group, the run itself records a metric of that name, or a
                value is not one number.
        """
        evaluated = self._executor.program.learner.reported
        # `values` lacks the validation metrics until the first evaluation.
        own = {*self.values, *(f"val/{name}" for name in evaluated)}
        for name in values:
            _check_name(name)
            if name in own or name.startswith(_RESERVED):
                raise ValueError(f"{name!r} is recorded by the run itself; expected another name.")
            _check_value(name, values[name])
        self.recorder.write(Scalars.single(self.step, self.epoch, values))

    def log_histogram(self, name: str, values: NDArray[np.floating[Any]]) -> None:
        """Records the distribution of values at this step, in the run's directory and recorders.

        Args:
            name: The full name, such as `gradients/dense`.
            values: An array of any shape; values that are NaN or infinite are ignored.

        Raises:
            ValueError: The name has no group.
        """
        _check_name(name)
        self.recorder.write(Histogram.of(self.step, time.time(), name, values))

    def log_image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Records an image at this step, in the run's directory and all recorders.

        Args:
            name: The full name, such as `weights/first_layer`.
            pixels: RGB values from 0 to 255, uint8 of shape [height, width, 3].

        Raises:
            ValueError: The name has no group, or `pixels` has another type or shape.
        """
        _check_name(name)
        if not isinstance(pixels, np.ndarray):
            raise ValueError(
                f"image {name!r}: got {type(pixels).__name__}; expected a NumPy array, uint8 of "
                "shape [height, width, 3]. expt.record.figures.figure_to_pixels makes one of a "
                "matplotlib figure."
            )
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise ValueError(
                f"image {name!r}: got {pixels.dtype} of shape {list(pixels.shape)}; expected uint8 "
                "of shape [height, width, 3]."
            )
        # Encoded later, on another thread, when the hook may have reused its array.
        fixed = pixels.copy()
        self.recorder.write(Image(self.step, time.time(), name, lambda: fixed))

    def stop(self, reason: str) -> None:
        """Ends training at this step, which is still evaluated. The run's status is FINISHED.

        Has no effect at the planned last step.

        Args:
            reason: Recorded in run.json as `stopped`. If training is stopped several times at one
                step, the first reason is kept.
        """
        if not self.is_last:
            self._executor.state.progress.reason = reason


def _check_name(name: str) -> None:
    group, slash, rest = name.partition("/")
    if not (group and slash and rest):
        raise ValueError(f"{name!r} has no group; expected GROUP/NAME, such as weights/norm.")


def _check_value(name: str, value: Any) -> None:
    shape = list(np.shape(value))
    try:
        is_number = not shape and not isinstance(value, str) and isinstance(float(value), float)
    except (TypeError, ValueError):
        is_number = False
    if not is_number:
        kind = type(value).__name__ + (f" of shape {shape}" if shape else "")
        raise ValueError(f"{name!r}: got {kind}; expected one number, such as float(x).")


class _ByName(dict[str, float]):
    """Values by name, whose error for an unknown name suggests the nearest one.

    Attributes:
        later: Names that have no value before the first evaluation.
    """

    later: Set[str] = frozenset()

    def __missing__(self, name: str) -> float:
        if name in self.later:
            raise UnknownNameError(
                f"{name!r} has no value before the first evaluation; `evaluation` of the moment "
                "evaluates at once."
            )
        raise UnknownNameError(f"there is no value {name!r}. {hint(str(name), self)}")


class UnknownNameError(KeyError):
    """There is no value of a name."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError itself quotes its message


@dataclass(frozen=True)
class Every:
    """A hook with its cadence.

    Attributes:
        cadence: At which steps the hook is called. With the cadence "never" it is not called at
            all, whatever `at_start` and `at_end` are.
        hook: The hook.
        at_start: Whether the hook is also called before the first step.
        at_end: Whether the hook is also called after the last step, wherever training ends.
    """

    cadence: Cadence
    hook: Hook
    at_start: bool = False
    at_end: bool = False

    def __call__(self, moment: Moment) -> None:
        """Calls the hook."""
        self.hook(moment)

    def resume(self, moment: Moment) -> None:
        """Prepares the hook for a run that continues from a checkpoint.

        Args:
            moment: The state of training after the last step before the checkpoint.
        """

    def next_due(self, step: int, timeline: Timeline) -> float:
        """Returns the first step after `step` at which the hook is due; infinity if none is.

        Ignores `at_end`: the last step of a run ends a segment anyway.
        """
        return self.cadence.next_due(step, timeline.steps_per_epoch)

    def is_due(self, moment: Moment) -> bool:
        """Returns whether the hook is due at a moment."""
        if moment.step == 0:
            return self.at_start and self.cadence.count is not None
        if self.at_end and moment.is_last:
            return self.cadence.count is not None
        return self.cadence.is_due(moment.step, moment.timeline.steps_per_epoch)


def check_signature(part: Any, where: str, node: Mapping[str, Any], expected: str) -> None:
    """Checks that a hook or a probe can be called.

    Args:
        part: The hook or probe.
        where: Its key, for messages.
        node: Its node in the config.
        expected: The parameters of the call, separated by commas.

    Raises:
        UserError: It is not callable, or not with such parameters.
    """
    count = expected.count(",") + 1
    try:
        inspect.signature(part).bind(*[None] * count)
    except TypeError as error:  # of an object that is not callable, too
        raise UserError(
            f"{where}: {node['_target_']} can't be called ({error}); expected "
            f"def __call__(self, {expected}) -> None."
        ) from error


def make_hooks(job: Job) -> list[Every]:
    """Returns the hooks of the config's `hook` group, each with its cadence.

    Raises:
        UserError: A hook does not accept its arguments.
    """
    made = []
    for name, node in job.config.hook.items():
        arguments = {key: value for key, value in node.items() if key != EVERY_KEY}
        hook = call_part(bind_part(arguments, f"hook.{name}"), f"hook.{name}")
        check_signature(hook, f"hook.{name}", node, "moment: Moment")
        made.append(Every(Cadence.parse(node[EVERY_KEY]), hook))
    return made
