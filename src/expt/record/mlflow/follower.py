"""A follower that keeps the MLflow mirror of a run up to date through outages of the store."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from expt.errors import RunError, UserError
from expt.record.process import Listener
from expt.runs.records import RunRecord
from expt.runs.run import Run
from expt.runs.secrets import redacted

if TYPE_CHECKING:
    from expt.record.mlflow.mirror import Mirror  # imports MLflow

_SECONDS_BETWEEN_TRIES = 3.0
_LONGEST_REASON = 300


class MirrorFollower:
    """A follower of a run or a sweep that updates its mirror.

    After a failure it retries every few seconds. Each retry uses a new mirror, which compares the
    store with the files, because a request whose answer was lost may have been carried out.

    Args:
        open_mirror: Opens the mirror of a run. Its second argument is whether the run is new, so
            that the store need not be searched for it.
        listener: The receiver of reports.
    """

    _run: Run
    _mirror: "Mirror | None"

    def __init__(self, open_mirror: Callable[[Run, bool], "Mirror"], listener: Listener) -> None:
        self._open_mirror, self._listener = open_mirror, listener

    def open(self, run: Run) -> None:
        """Starts to follow a run; the first request to the store is left to `advance`."""
        self._run, self._mirror = run, None
        self._is_new = not run.is_resumed
        self._is_down = self._has_warned = False
        self._next_try = 0.0

    def advance(self) -> None:
        """Mirrors what is new, unless the store failed within the last seconds."""
        if time.monotonic() < self._next_try:
            return
        try:
            self._mirror_new()
        # No exception of a store, whatever its type, may stop training.
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        else:
            if self._is_down:
                self._is_down = False
                self._listener.log(logging.INFO, "recording continues; no records are lost.")

    def close(self, record: RunRecord) -> str | None:
        """Mirrors the rest of the run; retries once if the store answered the last request.

        Args:
            record: The final content of the run's run.json.

        Returns:
            None, or the reason why the mirror is incomplete.
        """
        self._run.record = record
        tries = 1 if self._mirror is None else 2
        while True:
            tries -= 1
            try:
                self._mirror_new()
                assert self._mirror is not None
                self._mirror.finish()
            except Exception as error:  # noqa: BLE001
                self._mirror, self._is_new = None, False
                if not tries:
                    return reason(error)
            else:
                return None

    def _mirror_new(self) -> None:
        if self._mirror is None:
            # Not new at the next attempt, even if this one fails: the store may have created the
            # run although its answer was lost.
            is_new, self._is_new = self._is_new, False
            self._mirror = self._open_mirror(self._run, is_new)
        self._mirror.advance()

    def _fail(self, error: Exception) -> None:
        self._mirror, self._is_down = None, True
        self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES
        if not self._has_warned:  # once per run: an outage may last for hours
            self._has_warned = True
            text = f"{reason(error)}. Training continues; the journal is complete."
            self._listener.log(logging.WARNING, text)


def reason(error: BaseException) -> str:
    """Returns the cause of an error in one line, without secrets.

    The errors of a store describe the request at length; the reason is in the innermost exception
    of the chain.
    """
    root = error
    while not _is_ours(root) and (cause := root.__cause__ or root.__context__) is not None:
        root = cause
    message = (isinstance(root, OSError) and root.strerror) or str(root)
    text = redacted(" ".join(message.split())).rstrip(".") or type(root).__name__
    text = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
    return text if root is error else f"the store does not answer ({text})"


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, UserError | RunError)
