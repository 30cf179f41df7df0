import json
from pathlib import Path

import numpy as np
from record_helpers import make_run

from expt.record.journal import FILE_NAME, Journal, read_journal
from expt.record.recorder import Scalars
from expt.record.run import Status


def _written(tmp_path: Path, *records: Scalars) -> Path:
    journal = Journal()
    journal.open(make_run(tmp_path))
    for record in records:
        journal.write(record)
    journal.close(Status.FINISHED)
    return tmp_path / FILE_NAME


def test_every_float32_reads_back_to_the_same_bits(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    steps = np.arange(1, len(values) + 1)
    path = _written(
        tmp_path, Scalars(steps, steps, steps.astype(np.float64), {"train/loss": values})
    )
    read = np.array([line["train/loss"] for line in read_journal(path)], np.float32)
    np.testing.assert_array_equal(read.view(np.uint32), values.view(np.uint32))


def test_line_is_the_documented_object(tmp_path: Path) -> None:
    path = _written(tmp_path, Scalars.single(120, 5, {"train/loss": 0.31, "val/accuracy": 1.0}))
    record = json.loads(path.read_text())
    assert list(record) == ["step", "epoch", "time", "train/loss", "val/accuracy"]
    assert (record["step"], record["epoch"]) == (120, 5)
    assert '"train/loss": 0.31,' in path.read_text()


def test_values_that_json_lacks_are_strings_that_float_reads(tmp_path: Path) -> None:
    column = np.array([1.5, np.nan, np.inf, -np.inf], np.float32)
    steps = np.arange(4)
    path = _written(
        tmp_path, Scalars(steps, steps, steps.astype(np.float64), {"train/loss": column})
    )

    def refuse(text: str) -> float:
        raise AssertionError(text)

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    read = [line["train/loss"] for line in read_journal(path)]
    np.testing.assert_array_equal(read, column)


def test_what_is_written_is_on_file_before_the_close(tmp_path: Path) -> None:
    journal = Journal()
    journal.open(make_run(tmp_path))
    journal.write(Scalars.single(1, 1, {"train/loss": 1.0}))
    assert len(list(read_journal(tmp_path / FILE_NAME))) == 1
    journal.close(Status.KILLED)
