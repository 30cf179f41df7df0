from pathlib import Path

import pytest

from expt.sweep.job_order import next_job
from expt.sweep.jobs import PlannedJob
from sweep.sweep_helpers import composed, planned


@pytest.fixture
def jobs(tmp_path: Path) -> list[PlannedJob]:
    """Six jobs: relu with the seeds 0, 1 and 2, then tanh."""
    return planned(tmp_path, composed("act=relu,tanh", "seed=0,1,2")).jobs


def test_workers_start_with_different_programs(jobs: list[PlannedJob]) -> None:
    assert next_job(jobs, [], None) == 0
    assert next_job(jobs[1:], jobs[:1], None) == 2  # tanh


def test_worker_continues_with_the_program_that_it_has_compiled(jobs: list[PlannedJob]) -> None:
    assert next_job([*jobs[1:3], *jobs[4:]], [jobs[0]], jobs[3]) == 2
    assert next_job([*jobs[1:3], *jobs[4:]], [jobs[3]], jobs[0]) == 0


def test_last_program_is_shared(jobs: list[PlannedJob]) -> None:
    assert next_job(jobs[4:], [jobs[3]], jobs[0]) == 0


def test_jobs_that_share_no_program_keep_their_order(tmp_path: Path) -> None:
    eager = planned(tmp_path, composed("seed=0,1,2", "loop.compile=eager")).jobs
    assert next_job(eager[1:], eager[:1], eager[0]) == 0
