"""Files of predictions: when one is written, and the names of its columns."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.errors import UserError
from expt.prediction.outputs import check_outputs, write
from expt.serving.outputs import as_columns, label_column


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.csv"
    path.write_text("a\n1\n")
    return path


def test_a_file_that_exists_is_overwritten_by_force_alone(inputs: Path, tmp_path: Path) -> None:
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("kept")
    check_outputs(new, inputs)
    check_outputs(new, inputs, force=True)
    with pytest.raises(UserError, match=r"there\.csv exists already\. .* with --force\.$"):
        check_outputs(there, inputs)
    check_outputs(there, inputs, force=True)
    assert there.read_text() == "kept"
    write(there, {}, {"value 0": np.array([1.5])}, np.array([[1.5]]), None)
    assert there.read_text() == "value 0\n1.5\n"


@pytest.mark.parametrize("force", [False, True])
def test_inputs_and_folders_are_never_overwritten(
    inputs: Path, tmp_path: Path, force: bool
) -> None:
    other = tmp_path / "link.csv"
    other.symlink_to(inputs)
    for path in (inputs, other):
        with pytest.raises(UserError, match="holds the inputs, which are not overwritten"):
            check_outputs(path, inputs, force=force)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="is a folder; expected the name of a file"):
        check_outputs(tmp_path / "folder.csv", inputs, force=force)
    with pytest.raises(UserError, match=r"there is no folder .*missing\.$"):
        check_outputs(tmp_path / "missing" / "out.csv", inputs, force=force)
    with pytest.raises(UserError, match=r"expected a file that ends in \.csv, \.npz, \.npy"):
        check_outputs(tmp_path / "out.txt", inputs, force=force)


def test_broken_link_counts_as_an_existing_file(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="exists already"):
        check_outputs(tmp_path / "link.csv", inputs)


def of_classes(**more: Any) -> dict[str, Any]:
    return {"task": "classification", "class_names": ["no", "yes"], **more}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "class"),  # as of a run of an older version
        ({"other_columns": {}}, "class"),
        ({"other_columns": {"target": "species", "weight": "w"}}, "species"),
        ({"other_columns": {"target": "line"}}, "class"),  # which is where the row was
        ({"other_columns": {"target": "file"}}, "class"),
        ({"other_columns": {"target": "probability yes"}}, "class"),
    ],
)
def test_class_column_has_the_name_of_the_target(more: Any, expected: str) -> None:
    data, outputs = of_classes(**more), np.array([[0.25, 0.75], [0.5, 0.5]])
    columns = as_columns(data, "probability", outputs)
    assert label_column(data, "probability") == expected
    assert list(columns) == [expected, "probability no", "probability yes"]
    assert columns[expected].tolist() == ["yes", "no"]
    assert columns["probability yes"].tolist() == [0.75, 0.5]


@pytest.mark.parametrize(
    ("data", "shape", "expected"),
    [
        ({"task": "regression"}, (1,), ["value 0"]),
        ({"task": "regression", "other_columns": {"target": "price"}}, (1,), ["price"]),
        ({"task": "regression", "other_columns": {"target": "line"}}, (1,), ["value 0"]),
        (
            {"task": "regression", "feature_names": ["a", "b"], "other_columns": {}},
            (2,),
            ["value 0", "value 1"],
        ),
        (
            {
                "task": "reconstruction",
                "feature_names": ["a", "b"],
                "other_columns": {"target": "c"},
            },
            (2,),
            ["a", "b"],
        ),
        ({"task": "reconstruction", "feature_names": ["a", "a"]}, (2,), ["value 0", "value 1"]),
        ({"task": "reconstruction"}, (1, 2, 1), ["value 0", "value 1"]),
    ],
)
def test_value_columns_have_the_names_of_the_values(
    data: dict[str, Any], shape: tuple[int, ...], expected: list[str]
) -> None:
    outputs = np.arange(2.0 * np.prod(shape)).reshape(2, *shape)
    columns = as_columns({"class_names": [], **data}, "value", outputs)
    assert list(columns) == expected
    np.testing.assert_array_equal(np.stack(list(columns.values()), axis=1), outputs.reshape(2, -1))


@pytest.mark.parametrize("target", ["species", "class", "line"])
def test_files_hold_the_classes(tmp_path: Path, target: str) -> None:
    data = of_classes(other_columns={"target": target})
    outputs = np.array([[0.25, 0.75], [0.5, 0.5]])
    table, label = as_columns(data, "score", outputs), label_column(data, "score")
    for ending in ("csv", "npz"):
        write(tmp_path / f"out.{ending}", {"line": [2, 3]}, table, outputs, label)
    with (tmp_path / "out.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0] == {"line": "2", label: "yes", "score no": "0.25", "score yes": "0.75"}
    arrays = np.load(tmp_path / "out.npz")
    assert arrays["classes"].tolist() == ["yes", "no"]
    assert arrays["lines"].tolist() == [2, 3]
