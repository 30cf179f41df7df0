"""Tests of the notes on learning rates, and of runs that can't be resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.config.compose import compose_jobs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import read_journal
from expt.runs.records import RunRecord
from expt.runs.run import PreviousRun
from expt.train.checkpoint import Checkpoint, CheckpointWriter
from expt.train.data_loading import DataLoader
from expt.train.resume.restore import describe_rate_change, last_checkpoint
from resume.interrupting import journal
from resume.interrupting import train as train_run

STEPS = 19  # of an epoch


@pytest.fixture(scope="module")
def digits() -> Dataset:
    (job,), _ = compose_jobs([], None, multirun=False)
    return DataLoader()(job)


def continued(digits: Dataset, step: int, *overrides: str, **changes: Any) -> str | None:
    """Returns the note for a run of two epochs that is continued after a step."""
    (before,), _ = compose_jobs(["loop.epochs=2", *overrides], None, multirun=False)
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    given = [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    (job,), _ = compose_jobs(["loop.epochs=2", *overrides, *given], None, multirun=False)
    values = before.config.flat()
    previous = {key: values.get(key) for key in changes}
    return describe_rate_change(job, digits, PreviousRun(RunRecord(), changes, previous), step)


def test_rate_change_of_a_longer_schedule_is_noted(digits: Dataset) -> None:
    said = continued(digits, 38, "schedule=cosine", "optimizer.learning_rate=0.5", loop__epochs=4)
    last = 0.25 * (1 + np.cos(np.pi * 37 / 38))
    assert said is not None
    assert f"from {last:.4g} at step 38 to 0.25 at step 39" in said
    assert said.startswith("schedule=cosine now has 76 steps instead of 38")
    assert said.endswith(
        "To keep the former schedule, and then its last rate: schedule.total_steps=38"
    )


def test_rate_change_of_an_interrupted_run_is_noted(digits: Dataset) -> None:
    said = continued(digits, 19, "schedule=exponential", loop__steps=20)
    assert said is not None
    assert "now has 20 steps instead of 38" in said


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        (["schedule=constant"], {"loop__epochs": 4}),
        (["schedule=plateau"], {"loop__epochs": 4}),
        (["schedule=cosine"], {"loop__patience": 3}),
        (["schedule=cosine"], {"loop__epochs": 4, "schedule__total_steps": 38}),
        (["schedule=cosine", "schedule.total_steps=76"], {"loop__epochs": 3}),
    ],
)
def test_unchanged_rate_is_not_noted(
    digits: Dataset, overrides: list[str], changes: dict[str, Any]
) -> None:
    assert continued(digits, 38, *overrides, **changes) is None


def test_kept_schedule_can_be_replaced_by_that_of_the_run(digits: Dataset) -> None:
    said = continued(
        digits, 38, "schedule=cosine", "schedule.total_steps=38", schedule__total_steps=None
    )
    assert said is None  # the run still is as long
    said = continued(
        digits,
        38,
        "schedule=cosine",
        "schedule.total_steps=20",
        schedule__total_steps=None,
        loop__epochs=4,
    )
    assert said is not None
    assert "now has 76 steps instead of 20" in said


def test_other_schedule_length_is_an_error(digits: Dataset) -> None:
    with pytest.raises(UserError, match=r"schedule\.total_steps=50: .* Expected 38, .*or null"):
        continued(digits, 20, "schedule=cosine", loop__epochs=4, schedule__total_steps=50)


def test_extended_run_trains_with_the_kept_schedule(tmp_path: Path) -> None:
    """A run is trained, extended with the former schedule length, and read from its journal."""
    given = ["schedule=cosine", "model.units=[4]", "schedule.total_steps=8", "loop.eval_every=null"]
    run = train_run([*given, "loop.steps=12"], tmp_path)
    rates = [record["train/learning_rate"] for record in journal(run) if "train/loss" in record]
    cosine = 0.0005 * (1 + np.cos(np.pi * np.minimum(np.arange(12), 7) / 8))
    np.testing.assert_allclose([float(rate) for rate in rates], cosine, rtol=1e-5)
    assert [r["step"] for r in read_journal(run / "metrics.jsonl")][:12] == list(range(1, 13))


def test_run_with_single_batch_steps_can_not_be_resumed(tmp_path: Path, digits: Dataset) -> None:
    (job,), _ = compose_jobs(["optimizer.gradient_accumulation_steps=3"], None, multirun=False)
    arrays = {"optimizer 0/0004 adam/dense_kernel_gradient_accumulator": np.zeros(3)}
    facts = {
        "identity": {},
        "progress": {"values": {}, "reason": None},
        "best": {},
        "stopping": {"lowest_loss": 1.0, "best": None, "without_improvement": 0, "seconds": 1.0},
    }
    writer = CheckpointWriter(tmp_path / "checkpoints", 2, lambda: None)
    writer.write(Checkpoint(step=7, best_step=None, arrays=arrays, facts=facts))
    writer.flush()
    writer.close()
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 7, "epoch": 1, "time": 1.0, "train/loss": 1}\n'
    )
    with pytest.raises(UserError, match=r"a step was one batch .* --rerun"):
        last_checkpoint(job, digits, tmp_path, PreviousRun(RunRecord(), {}))
