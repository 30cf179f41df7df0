"""Scheduling a plan whose workers can't even start; tests/e2e/test_sweep.py trains real jobs."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from expt.sweep.launchers.local import LocalLauncher
from expt.sweep.scheduler import run_jobs
from expt.train.data_loading import DataLoader
from sweep.sweep_helpers import composed, planned

pytestmark = pytest.mark.usefixtures("restored_log")


class Deadly(DataLoader):
    """Ends the process that it is sent to."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_jobs_whose_process_dies_before_they_begin_fail_and_the_sweep_ends(tmp_path: Path) -> None:
    jobs = composed("act=relu,tanh,elu", "recorder=[]", f"output_dir={tmp_path}")
    plan, told = planned(tmp_path / "sweep", jobs), io.StringIO()
    workers = LocalLauncher(num_jobs=3, num_workers=1, load=Deadly())
    assert run_jobs(plan, workers, Console(file=told, width=200)) == 1
    assert [job.status for job in plan.jobs] == ["FAILED"] * 3
    assert all(job.error for job in plan.jobs)
    assert plan.facts["status"] == "FAILED"
    assert "3/3 FAILED mlp-elu" in told.getvalue()
