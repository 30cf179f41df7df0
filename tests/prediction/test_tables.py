"""Tables are read as in training, and each prediction has the line of its row."""

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.prediction.inputs import Inputs, read_inputs
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord

PRICE = Column("price", number=NumberFormat(decimal=",", thousands=".", suffix="€"))
COLOUR = Column("colour", categories=("blue", "red"))
DAY = Column("day", number=NumberFormat("date"))
ENCODER = Encoder((PRICE, COLOUR, DAY), ";", impute=False, na_values=("-",))
ROWS = "price;colour;day\n1.234,5 €;red;1970-01-02\n\n2,5€;blue;1970-01-03\n"
EXPECTED = [[1234.5, 0, 1, 1], [2.5, 1, 0, 2]]


def run(folder: Path, preparation: Any = None) -> FoundRun:
    given = ENCODER.to_mapping() if preparation is None else preparation
    record = {"model_input_shape": [4], "data": {"preparation": given}}
    return FoundRun(folder, RunRecord.of(record), folder)


def read(folder: Path, path: str | Path, preparation: Any = None) -> Inputs:
    return read_inputs(run(folder, preparation), Path(path))


def check(inputs: Inputs) -> None:
    assert np.concatenate(list(inputs.batches)).tolist() == EXPECTED
    assert inputs.about == {"line": [2, 4]}


@pytest.mark.parametrize("name", ["new.csv", "new.CSV", "new.tsv", "new.txt", "new"])
def test_table_may_have_any_file_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ROWS, encoding="utf-8")
    inputs = read(tmp_path, tmp_path / name)
    check(inputs)
    assert inputs.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    content = io.BytesIO(ROWS.encode(encoding))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))
    check(read(tmp_path, "-"))


def test_a_pipe(tmp_path: Path) -> None:
    """Like that of a shell's `<(command)`."""
    reading, writing = os.pipe()
    os.write(writing, ROWS.encode())
    os.close(writing)
    check(read(tmp_path, f"/dev/fd/{reading}"))
    os.close(reading)


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    rows = 'colour;price;day\n"red";1€;1970-01-02\n \n"blue";2€;1970-01-02\n\n\nred;3€;1970-01-02'
    (tmp_path / "new.csv").write_text(rows, encoding="utf-8")
    assert read(tmp_path, tmp_path / "new.csv").about == {"line": [2, 4, 7]}


def test_unknown_categories_are_reported(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(ROWS.replace("red", "Red"), encoding="utf-8")
    inputs = read(tmp_path, tmp_path / "new.csv")
    (note,) = inputs.notes
    assert "'colour' has 1 of 2 values" in note
    assert "'Red' (1; known: 'red')" in note
    assert np.concatenate(list(inputs.batches))[0, 1:3].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.234,5 €", "1234.5 €", "'price' has '1234.5 €' on line 2, where numbers in €"),
        ("1.234,5 €", "1.234,5 $", "'price' has '1.234,5 $' on line 2"),
        ("1.234,5 €", "-", "line 2 has no value of 'price'"),
        ("1970-01-03", "03.01.1970", "'day' has '03.01.1970' on line 4, where dates"),
        ("red", "RED", "'colour' has 1 of 2"),
        (
            "colour",
            "color",
            "the columns 'colour' are missing; the table has 'price', 'color', 'day'.",
        ),
    ],
)
def test_values_unknown_in_training_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "new.csv"
    path.write_text(ROWS.replace(old, new), encoding="utf-8")
    if "1 of 2" in message:
        assert message in read(tmp_path, path).notes[0]
        return
    with pytest.raises(UserError) as error:
        read(tmp_path, path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_column_without_known_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text(ROWS.replace("red", "RED").replace("blue", "BLUE"), encoding="utf-8")
    with pytest.raises(UserError, match="'colour' has no value that occurred in training"):
        read(tmp_path, path)


def test_few_rows_may_have_a_finer_resolution(tmp_path: Path) -> None:
    encoder = Encoder((Column("t", number=NumberFormat()),) * 4, ",", impute=False)
    path = tmp_path / "new.csv"
    path.write_text(f"t\n{2**60}\n{2**60 + 1}\n", encoding="utf-8")
    inputs = read(tmp_path, path, encoder.to_mapping())
    assert np.concatenate(list(inputs.batches)).tolist() == [[2.0**60] * 4] * 2


@pytest.mark.parametrize("preparation", [{}, {"kind": "array"}, {"kind": "image"}])
def test_runs_on_other_data(tmp_path: Path, preparation: Any) -> None:
    (tmp_path / "new.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(UserError, match="has no record of a table's columns"):
        read(tmp_path, tmp_path / "new.csv", preparation)


def test_a_damaged_record(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        read(tmp_path, tmp_path / "new.csv", {"kind": "table"})


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        read(tmp_path, tmp_path / "no.csv")
