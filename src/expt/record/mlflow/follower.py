"""Keeping the MLflow mirror of a run up to date, though the store may be down for a while."""

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
    """Follows a run, or a sweep, with its mirror.

    What fails is tried again every few seconds, with a new mirror that compares what is there with
    the files: a request whose answer was lost may have been carried out.

    Args:
        open_mirror: Opens the mirror of a run; the second argument says whether the run is new, so
            that there is nothing to find.
        listener: Gets reports.
    """

    _run: Run
    _mirror: "Mirror | None"

    def __init__(self, open_mirror: Callable[[Run, bool], "Mirror"], listener: Listener) -> None:
        self._open_mirror, self._listener = open_mirror, listener

    def open(self, run: Run) -> None:
        """Begins to follow a run."""
        self._run, self._mirror = run, None
        self._is_new = not run.is_resumed
        self._is_down = self._has_warned = False
        self._next_try = 0.0

    def advance(self) -> None:
        """Takes what is new, unless the store has just failed."""
        if time.monotonic() < self._next_try:
            return
        try:
            self._take()
        # Whatever a store raises, training goes on.
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        else:
            if self._is_down:
                self._is_down = False
                self._listener.tell(logging.INFO, "recording goes on; nothing is lost.")

    def close(self, record: RunRecord) -> str | None:
        """Takes the rest, with one try more if a store that answered before fails now."""
        self._run.record = record
        tries = 1 if self._mirror is None else 2
        while True:
            tries -= 1
            try:
                self._take()
                assert self._mirror is not None
                self._mirror.finish()
            except Exception as error:  # noqa: BLE001
                self._mirror, self._is_new = None, False
                if not tries:
                    return reason(error)
            else:
                return None

    def _take(self) -> None:
        if self._mirror is None:
            # Even if making it fails: a request without an answer may have been carried out.
            is_new, self._is_new = self._is_new, False
            self._mirror = self._open_mirror(self._run, is_new)
        self._mirror.advance()

    def _fail(self, error: Exception) -> None:
        self._mirror, self._is_down = None, True
        self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES
        if not self._has_warned:
            self._has_warned = True
            text = f"{reason(error)}. Training goes on; the journal keeps everything."
            self._listener.tell(logging.WARNING, text)


def reason(error: BaseException) -> str:
    """Returns why something failed, in one line without secrets.

    What a store raises names the request at length; what lies at its bottom tells the reason.
    """
    root = error
    while not _is_ours(root) and (cause := root.__cause__ or root.__context__) is not None:
        root = cause
    told = (isinstance(root, OSError) and root.strerror) or str(root)
    text = redacted(" ".join(told.split())).rstrip(".") or type(root).__name__
    text = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
    return text if root is error else f"the store does not answer ({text})"


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, UserError | RunError)
