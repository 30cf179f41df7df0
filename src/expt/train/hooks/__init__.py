"""Hooks: what is done at some steps of training besides training."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.compose import Job
from expt.config.hooks import EVERY_KEY
from expt.config.instantiate import call, part
from expt.record.recorder import Image, Recorder, Scalars
from expt.train.executors import Evaluated, Executor
from expt.train.timeline import Timeline

_RESERVED = ("perf/", "test/")


class Hook(Protocol):
    """Anything that can be called with a moment of training."""

    def __call__(self, moment: "Moment") -> None:
        """Is called after all numbers of a step are recorded."""


class Moment:
    """Training after one of its steps, as hooks see it.

    Hooks read, log and may stop training; they must not change the weights.
    """

    def __init__(self, executor: Executor, recorder: Recorder) -> None:
        self._executor, self.recorder = executor, recorder
        self.step = executor.state.progress.step
        self._evaluation: Evaluated | None = None

    @property
    def timeline(self) -> Timeline:
        """The run's steps and epochs."""
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
        """Why training ends here although more steps were planned; None if it does not."""
        return self._executor.state.progress.reason

    @property
    def values(self) -> Mapping[str, float]:
        """The last values of all metrics by full name, such as `train/loss`."""
        return MappingProxyType(self._executor.state.progress.values)

    @property
    def model(self) -> keras.Model:
        """The model in training."""
        return self._executor.program.learner.model

    @property
    def evaluation(self) -> Evaluated:
        """The evaluation of the validation split at this step.

        It is the run's own where one was due. Else one is made for the hooks, once a step; it is
        not recorded and changes nothing.
        """
        if self._evaluation is None:
            self._evaluation = self._executor.validation()
        return self._evaluation

    def log(self, values: Mapping[str, float]) -> None:
        """Records numbers at this step, in the journal and all recorders.

        Args:
            values: By full name: a group, a slash, and the name, such as `weights/norm`.

        Raises:
            ValueError: A name has no group, or is one of the run's own metrics.
        """
        evaluated = self._executor.program.learner.reported
        own = {*self.values, *(f"val/{name}" for name in evaluated)}
        for name in values:
            _check_name(name)
            if name in own or name.startswith(_RESERVED):
                raise ValueError(f"{name!r} is recorded by the run itself; expected another name.")
        self.recorder.write(Scalars.single(self.step, self.epoch, values))

    def log_image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Records an image at this step, in the run's folder and all recorders.

        Args:
            name: Its full name, such as `weights/first_layer`.
            pixels: Shape [height, width, 3], from 0 to 255.

        Raises:
            ValueError: The name has no group, or these are no pixels.
        """
        _check_name(name)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise ValueError(
                f"image {name!r}: {pixels.dtype} {list(pixels.shape)}; expected uint8 of the shape "
                "[height, width, 3]."
            )
        fixed = pixels.copy()  # drawn later, on another thread
        self.recorder.write(Image(self.step, time.time(), name, lambda: fixed))

    def stop(self, reason: str) -> None:
        """Ends training at this step, which is still evaluated; the run is FINISHED.

        Args:
            reason: Kept in run.json as `stopped`; the first one counts.
        """
        if not self.is_last:
            self._executor.state.progress.reason = reason


def _check_name(name: str) -> None:
    group, slash, rest = name.partition("/")
    if not (group and slash and rest):
        raise ValueError(f"{name!r} has no group; expected a name such as weights/norm.")


@dataclass(frozen=True)
class Every:
    """A hook with its cadence.

    Attributes:
        cadence: When the hook is called; never is at no step at all.
        hook: What is called.
        at_start: Whether it is called before the first step, too.
        at_end: Whether it is called after the last step, too, wherever training ends.
    """

    cadence: Cadence
    hook: Hook
    at_start: bool = False
    at_end: bool = False

    def __call__(self, moment: Moment) -> None:
        """Calls the hook."""
        self.hook(moment)

    def next_due(self, step: int, timeline: Timeline) -> float:
        """Returns the first step after `step` at which the hook is due; infinity if never."""
        return self.cadence.next_due(step, timeline.steps_per_epoch)

    def is_due(self, moment: Moment) -> bool:
        """Whether the hook is due at a moment."""
        if moment.step == 0:
            return self.at_start and self.cadence.count is not None
        if self.at_end and moment.is_last:
            return self.cadence.count is not None
        return self.cadence.is_due(moment.step, moment.timeline.steps_per_epoch)


def make_hooks(job: Job) -> list[Every]:
    """Makes the hooks that a config names.

    Raises:
        UserError: One refuses its arguments.
    """
    made = []
    for name, node in job.config.hook.items():
        arguments = {key: value for key, value in node.items() if key != EVERY_KEY}
        hook = call(part(arguments, f"hook.{name}"), f"hook.{name}")
        made.append(Every(Cadence.parse(node[EVERY_KEY]), hook))
    return made
