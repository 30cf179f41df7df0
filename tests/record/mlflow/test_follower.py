"""The follower of a store that fails, with a fake mirror and a fake listener."""

import logging
from pathlib import Path

import pytest
from record_helpers import make_run

from expt.errors import RunError
from expt.record.mlflow.additions import Additions
from expt.record.mlflow.follower import MirrorFollower, reason
from expt.runs.records import RunRecord
from expt.runs.run import Run


class Store:
    """A store that can be down. It is also its own mirror, and the listener of the follower."""

    def __init__(self) -> None:
        self.is_down, self.num_failures = False, 0
        self.opened_as_new: list[bool] = []
        self.calls: list[str] = []
        self.logged: list[tuple[int, str]] = []
        self.added = Additions()

    def open_mirror(self, _run: Run, is_new: bool) -> "Store":
        self.opened_as_new.append(is_new)
        self._answer("open")
        return self

    def advance(self) -> None:
        self._answer("advance")

    def finish(self) -> None:
        self._answer("finish")

    def extend_deadline(self, _seconds: float) -> None:
        raise AssertionError

    def log(self, level: int, text: str) -> None:
        self.logged.append((level, text))

    def _answer(self, call: str) -> None:
        self.num_failures -= 1
        if self.is_down or self.num_failures >= 0:
            raise ConnectionError("no connection")
        self.calls.append(call)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A fake clock: a list with the time as its only item."""
    clock = [1_000.0]
    monkeypatch.setattr("expt.record.mlflow.follower.time.monotonic", lambda: clock[0])
    return clock


def _follow(store: Store, run: Run) -> MirrorFollower:
    follower = MirrorFollower(store.open_mirror, store)
    follower.open(run)
    return follower


def test_run_is_mirrored_and_finished(tmp_path: Path, now: list[float]) -> None:
    store, run = Store(), make_run(tmp_path)
    follower = _follow(store, run)
    follower.advance()
    now[0] += 1
    follower.advance()
    record = RunRecord.of({"status": "FINISHED"})
    assert follower.close(record) is None
    assert store.calls == ["open", "advance", "advance", "advance", "finish"]
    assert store.opened_as_new == [True]
    assert run.record is record
    assert store.logged == []


def test_resumed_run_is_not_new(tmp_path: Path) -> None:
    store, run = Store(), make_run(tmp_path)
    run.is_resumed = True
    _follow(store, run).advance()
    assert store.opened_as_new == [False]


def test_outage_is_retried_and_logged_once_and_its_end_is_logged(
    tmp_path: Path, now: list[float]
) -> None:
    store = Store()
    follower = _follow(store, make_run(tmp_path))
    for _ in range(2):
        follower.advance()
        store.is_down = True
        for _ in range(10):
            now[0] += 1
            follower.advance()
        store.is_down = False
        now[0] += 10
        follower.advance()
    # Retries are few during an outage, and each of them compares the store with the files.
    assert store.opened_as_new[0] is True
    assert not any(store.opened_as_new[1:])
    assert len(store.opened_as_new) == 1 + 2 * 4
    warnings = [text for level, text in store.logged if level == logging.WARNING]
    assert warnings == ["no connection. Training continues; the journal is complete."]
    assert [level for level, _ in store.logged] == [logging.WARNING, logging.INFO, logging.INFO]


def test_run_is_not_new_after_a_failed_creation(tmp_path: Path, now: list[float]) -> None:
    store = Store()
    store.is_down = True
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    store.is_down = False
    now[0] += 10
    follower.advance()
    assert store.opened_as_new == [True, False]


def test_close_tries_once_if_the_store_is_down(tmp_path: Path) -> None:
    store = Store()
    store.is_down = True
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    assert follower.close(RunRecord.of({"status": "FINISHED"})) == "no connection"
    assert len(store.opened_as_new) == 2
    assert len(store.logged) == 1


def test_close_retries_if_the_store_answered_before(tmp_path: Path) -> None:
    store = Store()
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    store.num_failures = 1
    assert follower.close(RunRecord.of({"status": "FINISHED"})) is None
    assert store.calls == ["open", "advance", "open", "advance", "finish"]
    assert store.opened_as_new == [True, False]


def test_reason_is_the_innermost_cause_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "swordfish")
    error = RuntimeError("API request failed, at length")
    error.__cause__ = OSError(111, "Connection refused")
    assert reason(error) == "the store does not answer (Connection refused)"
    own_error = RunError("our message")
    own_error.__cause__ = error
    assert reason(own_error) == "our message"
    assert reason(ValueError("no\n  swordfish here.")) == "no *** here"
    assert reason(ValueError()) == "ValueError"
