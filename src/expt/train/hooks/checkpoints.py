"""The hook that saves checkpoints during training, at its end, and when it is interrupted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.config.cadence import Cadence
from expt.errors import Terminated
from expt.train.checkpoint import CheckpointWriter
from expt.train.hooks import Every, Moment
from expt.train.state import State
from expt.train.timeline import Timeline

MakeWriter = Callable[[Path, int, Callable[[], None]], CheckpointWriter]
"""A factory of checkpoint writers; its arguments are those of `CheckpointWriter`."""


class SaveCheckpoint:
    """A `Hook` that saves the state if the writer is ready or this step has the best evaluation.

    A best evaluation at a step where the hook is not called, such as one within a segment, is not
    saved.

    Args:
        state: The state of training.
        writer: Writes the checkpoints, and keeps the file of the best step.
        identity: The settings that can change a run's results, by full key. They are stored in
            the checkpoint and compared when it is restored.
    """

    def __init__(self, state: State, writer: CheckpointWriter, identity: Mapping[str, Any]) -> None:
        self._state, self._writer, self._identity = state, writer, identity
        self._saved_step = 0

    def __call__(self, moment: Moment) -> None:
        """Saves the state, unless the writer is busy and this is not the best step so far."""
        # Copying the variables takes 2 ms of a 20 ms epoch on digits, and the writer writes at
        # most once a second. The best step is copied regardless, because its file is kept.
        if self.is_ready() or self._state.best.step == moment.step:
            self.save()

    def is_ready(self) -> bool:
        """Returns whether a state would be written at once."""
        return self._writer.is_due()

    def save(self) -> None:
        """Saves the state, unless the state of this step has been saved already."""
        step = self._state.progress.step
        if step != self._saved_step:
            self._saved_step = step
            self._writer.write(self._state.checkpoint(self._identity))


@dataclass(frozen=True)
class EveryCheckpoint(Every):
    """`SaveCheckpoint` with its cadence, which ends a segment only if the writer is ready.

    Otherwise, the epochs of a small model would be segments of their own, although at most one
    checkpoint is written per second.
    """

    hook: SaveCheckpoint

    def next_due(self, step: int, timeline: Timeline) -> float:
        """Returns the first step after `step` at which a segment must end for this hook.

        Returns:
            Infinity while the writer is busy.
        """
        return super().next_due(step, timeline) if self.hook.is_ready() else float("inf")


@contextmanager
def checkpointing(
    cadence: Cadence, state: State, writer: CheckpointWriter, identity: Mapping[str, Any]
) -> Iterator[Every]:
    """Yields the hook that saves checkpoints.

    A last checkpoint is saved when the `with` block ends normally or is interrupted.

    Args:
        cadence: How often to save.
        state: The state of training.
        writer: Writes the checkpoints; closed at the end of the `with` block.
        identity: As for `SaveCheckpoint`.
    """
    hook = SaveCheckpoint(state, writer, identity)
    try:
        yield EveryCheckpoint(cadence, hook)
        hook.save()
        writer.flush()
    # Not after other exceptions, such as a loss that became NaN: resuming from the last checkpoint
    # is useful, resuming from the state of the failure is not.
    except (KeyboardInterrupt, Terminated):
        hook.save()
        writer.flush()
        raise
    finally:
        writer.close()
