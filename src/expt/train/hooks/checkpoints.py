"""Checkpoints: the state of training, saved while it goes on and at its end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expt.config.cadence import Cadence
from expt.errors import Terminated
from expt.train.checkpoint import CheckpointWriter
from expt.train.hooks import Every, Moment
from expt.train.state import State

MakeWriter = Callable[[Path, int, Callable[[], None]], CheckpointWriter]
"""Makes what writes a run's checkpoints; its arguments are those of `CheckpointWriter`."""


class SaveCheckpoint:
    """Saves the state when the writer is ready, and at the best step so far; a `Hook`.

    Args:
        state: What to save.
        writer: Writes it; it keeps the file of the best step.
        identity: What the state is of: what can change a run's numbers, by full key.
    """

    def __init__(self, state: State, writer: CheckpointWriter, identity: Mapping[str, Any]) -> None:
        self._state, self._writer, self._identity = state, writer, identity
        self._saved = 0

    def __call__(self, moment: Moment) -> None:
        """Saves the state, unless the writer is busy."""
        if self._writer.is_due() or self._state.best.step == moment.step:
            self.save()

    def save(self) -> None:
        """Saves the state, unless it is saved."""
        step = self._state.progress.step
        if step != self._saved:
            self._saved = step
            self._writer.write(self._state.checkpoint(self._identity))


@contextmanager
def checkpointing(
    cadence: Cadence, state: State, writer: CheckpointWriter, identity: Mapping[str, Any]
) -> Iterator[Every]:
    """Yields the hook that saves checkpoints; saves one at the end and when interrupted, too.

    Args:
        cadence: How often to save.
        state: What to save.
        writer: Writes it; closed at the end.
        identity: As `SaveCheckpoint` takes it.
    """
    hook = SaveCheckpoint(state, writer, identity)
    try:
        yield Every(cadence, hook)
        hook.save()
        writer.flush()
    except (KeyboardInterrupt, Terminated):
        hook.save()
        writer.flush()
        raise
    finally:
        writer.close()
