"""Tests of locks on runs and sweeps, and of new directories."""

import time
from pathlib import Path

import pytest

from expt.runs.directories import LockedError, create_directory, locked
from expt.runs.records import SWEEP_FILE


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The directory of a job of a sweep."""
    directory = tmp_path / "sweep" / "0_act=relu"
    directory.mkdir(parents=True)
    (directory.parent / SWEEP_FILE).touch()
    return directory


def test_run_can_be_locked_only_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(LockedError, match="run is locked"), locked(tmp_path):
        pytest.fail("locked twice")
    with locked(tmp_path):
        pass


def test_locked_sweep_also_locks_its_jobs(job: Path) -> None:
    with locked(job.parent):
        with pytest.raises(LockedError, match="sweep is locked"), locked(job):
            pytest.fail("locked although its sweep is")
        with locked(job, by_its_sweep=True):
            pass
    with locked(job), pytest.raises(LockedError, match="sweep is locked"), locked(job.parent):
        pytest.fail("the sweep was locked although a job is")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_directory_is_named_after_time_in_utc(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        moment = 1_795_752_306.0
        for name in ("gmtime", "localtime"):
            convert = getattr(time, name)
            monkeypatch.setattr(time, name, lambda *_, convert=convert: convert(moment))
        assert create_directory(tmp_path, "abc") == tmp_path / "2026-11-27" / "04-05-06Z_abc"
        assert create_directory(tmp_path, "abc").name == "04-05-06Z_abc-2"
    finally:
        monkeypatch.undo()
        time.tzset()
