"""Keeping up with a store that fails, with a copy and a listener made here."""

import logging
from pathlib import Path

import pytest
from record_helpers import make_run

from expt.errors import RunError
from expt.record.mlflow.added import Added
from expt.record.mlflow.follower import MirrorFollower, reason
from expt.runs.records import RunRecord
from expt.runs.run import Run


class Store:
    """Makes copies, and can be down; it is what the follower reports to as well."""

    def __init__(self) -> None:
        self.is_down, self.num_failures = False, 0
        self.made_as_new: list[bool] = []
        self.calls: list[str] = []
        self.told: list[tuple[int, str]] = []
        self.added = Added()

    def make_copy(self, _run: Run, is_new: bool) -> "Store":
        self.made_as_new.append(is_new)
        self._answer("make")
        return self

    def advance(self) -> None:
        self._answer("advance")

    def finish(self) -> None:
        self._answer("finish")

    def busy(self, _seconds: float) -> None:
        raise AssertionError

    def tell(self, level: int, text: str) -> None:
        self.told.append((level, text))

    def _answer(self, call: str) -> None:
        self.num_failures -= 1
        if self.is_down or self.num_failures >= 0:
            raise ConnectionError("the line is cut")
        self.calls.append(call)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, as a list that holds the time."""
    clock = [1_000.0]
    monkeypatch.setattr("expt.record.mlflow.follower.time.monotonic", lambda: clock[0])
    return clock


def _follow(store: Store, run: Run) -> MirrorFollower:
    follower = MirrorFollower(store.make_copy, store)
    follower.open(run)
    return follower


def test_a_run_is_copied_once_and_finished(tmp_path: Path, now: list[float]) -> None:
    store, run = Store(), make_run(tmp_path)
    follower = _follow(store, run)
    follower.advance()
    now[0] += 1
    follower.advance()
    record = RunRecord.of({"status": "FINISHED"})
    assert follower.close(record) is None
    assert store.calls == ["make", "advance", "advance", "advance", "finish"]
    assert store.made_as_new == [True]
    assert run.record is record
    assert store.told == []


def test_a_resumed_run_is_never_new(tmp_path: Path) -> None:
    store, run = Store(), make_run(tmp_path)
    run.is_resumed = True
    _follow(store, run).advance()
    assert store.made_as_new == [False]


def test_an_outage_is_told_once_tried_again_and_told_when_over(
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
    # Tries while it is down are few, and whatever failed is compared afterwards.
    assert store.made_as_new[0] is True
    assert not any(store.made_as_new[1:])
    assert len(store.made_as_new) == 1 + 2 * 4
    warnings = [text for level, text in store.told if level == logging.WARNING]
    assert warnings == ["the line is cut. Training goes on; the journal keeps everything."]
    assert [level for level, _ in store.told] == [logging.WARNING, logging.INFO, logging.INFO]


def test_a_failed_creation_may_have_been_carried_out(tmp_path: Path, now: list[float]) -> None:
    store = Store()
    store.is_down = True
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    store.is_down = False
    now[0] += 10
    follower.advance()
    assert store.made_as_new == [True, False]


def test_closing_tries_once_with_a_store_that_is_down(tmp_path: Path) -> None:
    store = Store()
    store.is_down = True
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    assert follower.close(RunRecord.of({"status": "FINISHED"})) == "the line is cut"
    assert len(store.made_as_new) == 2
    assert len(store.told) == 1


def test_closing_tries_again_with_a_store_that_answered(tmp_path: Path) -> None:
    store = Store()
    follower = _follow(store, make_run(tmp_path))
    follower.advance()
    store.num_failures = 1
    assert follower.close(RunRecord.of({"status": "FINISHED"})) is None
    assert store.calls == ["make", "advance", "make", "advance", "finish"]
    assert store.made_as_new == [True, False]


def test_a_reason_is_the_last_cause_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "swordfish")
    error = RuntimeError("API request failed, at length")
    error.__cause__ = OSError(111, "Connection refused")
    assert reason(error) == "the store does not answer (Connection refused)"
    told = RunError("said by us")
    told.__cause__ = error
    assert reason(told) == "said by us"
    assert reason(ValueError("no\n  swordfish here.")) == "no *** here"
    assert reason(ValueError()) == "ValueError"
