"""Runs that are interrupted and resumed, and what must be equal afterwards."""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from conftest import Trained
from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.record.journal import read_journal
from expt.record.recorder import Record, Scalars
from expt.runs.records import RunRecord, read_run
from expt.runs.run import PreviousRun, Run, Status
from expt.train.backend import start_for
from expt.train.checkpoint import Checkpoint, newest_checkpoint
from expt.train.data_loading import DataLoader


class SignalAt:
    """A recorder that sends this process a Ctrl-C when it gets a step's record."""

    def __init__(self, step: int) -> None:
        self._step, self._is_done = step, False

    def open(self, run: Run) -> None:
        pass

    def write(self, record: Record) -> None:
        # Evaluations are of the same step; a second signal would end the process at once.
        if isinstance(record, Scalars) and self._step in record.steps and not self._is_done:
            self._is_done = True
            os.kill(os.getpid(), signal.SIGINT)

    def close(self, status: Status) -> None:
        pass


def train(
    overrides: Sequence[str],
    folder: Path,
    interrupt_at: int | None = None,
    *,
    resume: bool = False,
) -> Path:
    """Trains a job in this process, from its beginning or from what the folder holds.

    Returns:
        The directory of its run.
    """
    return train_job(overrides, folder, interrupt_at, resume=resume).directory


def train_job(
    overrides: Sequence[str],
    folder: Path,
    interrupt_at: int | None = None,
    *,
    resume: bool = False,
) -> Trained:
    """As `train`, for whoever needs more than the directory."""
    directory = folder / "run"
    given = ("recorder=[]", "loop.image_every=null", *overrides)
    job = replace(_composed(given), current_output_dir=folder)
    dataset = DataLoader()(job)
    start_for(job.config)
    from expt.train.session import Session

    directory.mkdir(parents=True, exist_ok=resume)
    record = read_run(directory) if resume else None
    sinks = [] if interrupt_at is None else [SignalAt(interrupt_at)]
    try:
        previous = None if record is None else PreviousRun(record, {})
        session = Session(job, dataset, directory, sinks, Console(quiet=True), previous)
        record = session.run()
    except KeyboardInterrupt:
        assert interrupt_at is not None
    return Trained(directory, record or RunRecord(), job, dataset)


@lru_cache(maxsize=1)
def _composed(overrides: tuple[str, ...]) -> Job:
    """The trainings that are compared are of one job."""
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    return job


def final_state(directory: Path) -> Checkpoint:
    checkpoint = newest_checkpoint(directory / "checkpoints", 10**9)
    assert checkpoint is not None
    return checkpoint


def journal(directory: Path) -> list[dict[str, Any]]:
    """The records without what is measured by the clock."""
    return [
        {k: str(v) for k, v in record.items() if k != "time" and not k.startswith("perf/")}
        for record in read_journal(directory / "metrics.jsonl")
    ]


def assert_same(directory: Path, expected: Path) -> None:
    """Asserts that two runs have the same weights, optimizer state and journal, bit for bit.

    And pictures of the same steps.
    """
    assert journal(directory) == journal(expected)
    pictures = [{file.name for file in (d / "images").glob("*")} for d in (directory, expected)]
    assert pictures[0] == pictures[1]
    state, reference = final_state(directory), final_state(expected)
    assert state.step == reference.step
    assert state.arrays.keys() == reference.arrays.keys()
    for name, array in reference.arrays.items():
        assert array.dtype == state.arrays[name].dtype
        np.testing.assert_array_equal(state.arrays[name], array, err_msg=name, strict=True)
    facts, expected_facts = dict(state.facts), dict(reference.facts)
    for each in (facts, expected_facts):
        each["stopping"] = {k: v for k, v in each["stopping"].items() if k != "seconds"}
    assert json.dumps(facts, sort_keys=True) == json.dumps(expected_facts, sort_keys=True)
    final = [json.loads((d / "run.json").read_text()) for d in (directory, expected)]
    assert [final[0][key] for key in ("status", "final", "best")] == [
        final[1][key] for key in ("status", "final", "best")
    ]
