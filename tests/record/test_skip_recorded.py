import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.record.journal import Journal, read_journal
from expt.record.recorder import Fanout, Image, Record, Scalars
from expt.record.skip_recorded import SkipRecorded
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status


class Memory:
    """A recorder that stores records in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def open(self, run: Run) -> None:
        pass

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self, status: Status) -> None:
        pass

    def steps(self) -> list[int]:
        return [s for r in self.records if isinstance(r, Scalars) for s in r.steps.tolist()]


def block(first: int, last: int, shift: float = 0.0) -> Scalars:
    steps = np.arange(first, last + 1)
    losses = (1 / steps + shift).astype(np.float32)
    return Scalars(steps, np.ones_like(steps), steps.astype(np.float64), {"train/loss": losses})


def evaluation(step: int, speed: float = 1.0) -> Scalars:
    return Scalars.single(step, 1, {"val/loss": float("nan"), "perf/steps_per_s": speed})


def make_run(directory: Path, **options: Any) -> Run:
    return Run(directory, directory, {}, {}, RunRecord(), **options)


def lines(directory: Path) -> list[tuple[int, list[str]]]:
    return [
        (record["step"], [name for name in record if "/" in name])
        for record in read_journal(directory / "metrics.jsonl")
    ]


def first_part(directory: Path) -> Run:
    """Writes the journal of a previous process, up to step 6; returns the resumed run."""
    journal = Journal()
    journal.open(make_run(directory))
    for record in (block(1, 3), evaluation(3), block(4, 6), evaluation(6)):
        journal.write(record)
    journal.close(Status.KILLED)
    size = (directory / "metrics.jsonl").stat().st_size
    return make_run(directory, is_resumed=True, recorded=size)


@pytest.mark.parametrize("checkpoint", range(7))
@pytest.mark.parametrize("length", [1, 2, 5])
def test_no_record_is_duplicated_or_missing(
    tmp_path: Path, checkpoint: int, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    run, kept = first_part(tmp_path), Memory()
    recorder = SkipRecorded(Fanout([Journal(), kept]), checkpoint)
    recorder.open(run)
    step = checkpoint
    while step < 9:
        last = min(step + length, 9, (step // 3 + 1) * 3)
        recorder.write(block(step + 1, last))
        if last % 3 == 0:
            recorder.write(evaluation(last, speed=7.0))
        step = last
    recorder.close(Status.FINISHED)
    loss, measured = ["train/loss"], ["val/loss", "perf/steps_per_s"]
    expected = [(s, names) for s in range(1, 10) for names in (loss, measured)]
    assert lines(tmp_path) == [e for e in expected if e[1] is loss or e[0] % 3 == 0]
    # Sinks get only the new steps, whatever the checkpoint and the length of blocks.
    assert kept.steps() == [7, 8, 9, 9]
    assert caplog.text == ""


def test_difference_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = first_part(tmp_path)
    recorder = SkipRecorded(Memory(), step=3)
    recorder.open(run)
    with caplog.at_level(logging.WARNING):
        recorder.write(block(4, 5))
        recorder.write(block(6, 6, shift=1e-3))
        recorder.write(block(6, 6, shift=1.0))
    assert len(caplog.records) == 1
    assert "train/loss at step 6 is" in caplog.text


def test_test_values_after_the_last_checkpoint_are_not_duplicated(tmp_path: Path) -> None:
    journal = Journal()
    journal.open(make_run(tmp_path))
    tested = Scalars.single(3, 1, {"test/loss": 0.5})
    for record in (block(1, 3), evaluation(3), tested):
        journal.write(record)
    journal.close(Status.KILLED)
    size = (tmp_path / "metrics.jsonl").stat().st_size
    kept = Memory()
    recorder = SkipRecorded(kept, step=3)
    recorder.open(make_run(tmp_path, is_resumed=True, recorded=size))
    recorder.write(tested)
    assert kept.records == []
    recorder.write(block(4, 5))
    assert kept.steps() == [4, 5]


def test_new_evaluation_of_a_repeated_step_is_recorded(tmp_path: Path) -> None:
    run, kept = first_part(tmp_path), Memory()
    recorder = SkipRecorded(kept, step=3)
    recorder.open(run)
    recorder.write(block(4, 5))
    recorder.write(evaluation(5))
    recorder.write(block(6, 7))
    assert kept.steps() == [5, 7]


def test_images_that_have_files_are_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    images = [Image(s, 1.5, "val/p", lambda: np.zeros((2, 2, 3), np.uint8)) for s in (3, 6)]
    (folder / "val_p_0000003.png").write_bytes(images[0].png())
    kept = Memory()
    recorder = SkipRecorded(kept, step=0)
    recorder.open(make_run(tmp_path, is_resumed=True))
    for image in images:
        recorder.write(image)
    assert kept.records == [images[1]]


def test_new_run_passes_all_records_on(tmp_path: Path) -> None:
    kept = Memory()
    recorder = SkipRecorded(kept, step=0)
    recorder.open(make_run(tmp_path))
    given = [block(1, 3), evaluation(3)]
    for record in given:
        recorder.write(record)
    assert kept.records == given
    assert json.dumps(kept.steps()) == "[1, 2, 3, 3]"
