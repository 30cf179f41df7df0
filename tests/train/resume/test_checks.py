"""Tests of the changes that leave a resumed run steps to train; without TensorFlow."""

from pathlib import Path
from typing import Any

import pytest

from expt.config.compose import compose_jobs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.runs.records import RunRecord
from expt.runs.run import PreviousRun
from expt.train.checkpoint import Checkpoint, write_checkpoint
from expt.train.data_loading import DataLoader
from expt.train.resume.checks import check_extension

STEPS = 19  # of an epoch


@pytest.fixture(scope="module")
def digits() -> Dataset:
    (job,), _ = compose_jobs([], None, multirun=False)
    return DataLoader()(job)


def checked(
    digits: Dataset,
    directory: Path,
    before: list[str],
    changes: dict[str, Any],
    **record: Any,
) -> None:
    """Checks changes to a run, which has finished three epochs unless the record differs."""
    given = [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    (former,), _ = compose_jobs(before, None, multirun=False)
    (job,), _ = compose_jobs([*before, *given], None, multirun=False)
    values = former.config.flat()
    previous = {key: values[key] for key in changes if key in values}
    finished = {"status": "FINISHED", "final": {"step": 3 * STEPS}, "stopped": None}
    check_extension(
        job, digits, directory, PreviousRun(RunRecord.of(finished | record), changes, previous)
    )


@pytest.mark.parametrize(
    ("before", "changes", "message"),
    [
        (
            [],
            {"loop.epochs": 2},
            r"^loop\.epochs=2: the run has done 57 steps already, 3 epochs\. ",
        ),
        ([], {"loop.epochs": 2}, r"at least loop\.epochs=4 or loop\.steps=58\.$"),
        ([], {"loop.epochs": 3}, "has done 57 steps already"),
        ([], {"loop.steps": 57}, "has done 57 steps already"),
        ([], {"loop.steps": 10}, r"^loop\.steps=10: .* 57 steps"),
        ([], {"loop.patience": 3}, "has done 57 steps already"),
        (["loop.steps=57"], {"loop.epochs": 50}, r"loop\.steps=57 wins over loop\.epochs"),
        (
            ["schedule=cosine"],
            {"loop.epochs": 9, "schedule.total_steps": 5},
            "Expected 57, the for",
        ),
    ],
)
def test_finished_run_without_steps_left_is_an_error(
    digits: Dataset, tmp_path: Path, before: list[str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        checked(digits, tmp_path, ["loop.epochs=3", *before], changes)


@pytest.mark.parametrize(
    "changes",
    [{}, {"loop.epochs": 4}, {"loop.steps": 58}, {"loop.epochs": 4, "schedule.total_steps": 57}],
)
def test_longer_run_passes(digits: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    checked(digits, tmp_path, ["loop.epochs=3", "schedule=cosine"], changes)


def test_run_that_stopped_early_needs_another_limit(digits: Dataset, tmp_path: Path) -> None:
    before, stopped = ["loop.epochs=9", "loop.patience=1"], "no improvement"
    with pytest.raises(UserError, match=r"stopped early: no improvement\. Change that too"):
        checked(digits, tmp_path, before, {"loop.epochs": 20}, stopped=stopped)


def test_length_of_an_interrupted_run_is_checked_against_its_last_intact_checkpoint(
    digits: Dataset, tmp_path: Path
) -> None:
    lines = (f'{{"step": {step}, "epoch": 1, "time": 1.0}}\n' for step in range(1, 41))
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    (tmp_path / "checkpoints").mkdir()
    for step in (20, 40):
        facts: dict[str, Any] = {"progress": {"values": {}, "reason": None}}
        write_checkpoint(
            tmp_path / "checkpoints", Checkpoint(step, None, {}, facts), prepare=lambda: None
        )
    killed = {"status": "KILLED"}
    with pytest.raises(UserError, match="has done 40 steps already"):
        checked(digits, tmp_path, ["loop.epochs=9"], {"loop.steps": 30}, **killed)
    checked(digits, tmp_path, ["loop.epochs=9"], {"loop.steps": 40}, **killed)  # ends it there
    (newest,) = (tmp_path / "checkpoints").glob("*_0000040_*")
    newest.write_bytes(b"damaged")
    checked(digits, tmp_path, ["loop.epochs=9"], {"loop.steps": 30}, **killed)
