"""Who may be at a run: one process, and none while its sweep is at work."""

from pathlib import Path

import pytest

from expt.record.directories import HeldError, held
from expt.record.planned import PLAN_FILE


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The directory of a sweep's job."""
    directory = tmp_path / "sweep" / "0_act=relu"
    directory.mkdir(parents=True)
    (directory.parent / PLAN_FILE).touch()
    return directory


def test_a_run_is_held_by_one_alone(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(HeldError, match="training this run"), held(tmp_path):
        pytest.fail("held twice")
    with held(tmp_path):
        pass


def test_a_job_is_its_sweeps_as_long_as_that_is_held(job: Path) -> None:
    with held(job.parent):
        with pytest.raises(HeldError, match="training this sweep"), held(job):
            pytest.fail("held while its sweep is")
        with held(job, by_its_sweep=True):
            pass
    with held(job), pytest.raises(HeldError, match="training this sweep"), held(job.parent):
        pytest.fail("the sweep was held while a job was")
