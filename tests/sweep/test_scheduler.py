"""Tests of the scheduler with workers that fail to start; tests/e2e/test_sweep.py trains jobs."""

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


class ExitingLoader(DataLoader):
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_jobs_fail_if_worker_process_dies_before_start(tmp_path: Path) -> None:
    jobs = composed("act=relu,tanh,elu", "recorder=[]", f"output_dir={tmp_path}")
    plan, output = planned(tmp_path / "sweep", jobs), io.StringIO()
    workers = LocalLauncher(num_jobs=3, num_workers=1, load=ExitingLoader())
    assert run_jobs(plan, workers, Console(file=output, width=200)) == 1
    assert [job.status for job in plan.jobs] == ["FAILED"] * 3
    assert all(job.error for job in plan.jobs)
    assert plan.facts["status"] == "FAILED"
    assert "3/3 FAILED mlp-elu" in output.getvalue()
