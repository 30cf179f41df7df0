"""Tables with the same meaning have the same inputs however they are written; losses are noted."""

import csv
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.tables import Csv

RANDOM = np.random.default_rng(5)
COUNT = 90
X = RANDOM.integers(-500, 500, COUNT)
NOISE = [f"{value:.3f}" for value in RANDOM.normal(size=COUNT)]
Rows = Sequence[Sequence[Any]]


def load(folder: Path, header: Sequence[str], rows: Rows, **options: Any) -> Dataset:
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=options.get("separator", ",")).writerows([header, *rows])
    given = {"target": "y", "batch_size": 4, **options}
    return Csv(path=str(path), **given).load()


def columns(texts: Callable[[int], Any], labels: Callable[[int], Any]) -> Rows:
    return [[texts(k), NOISE[k], labels(k)] for k in range(COUNT)]


def standardized(dataset: Dataset) -> NDArray[np.float64]:
    """Returns the inputs of the train split as the model's first layer standardizes them."""
    scale = dataset.input_scale
    assert scale is not None
    return (dataset.train.first(COUNT).astype(np.float64) - scale.mean) / scale.deviation


def standardized_targets(dataset: Dataset) -> NDArray[np.float64]:
    scale = dataset.target_scale
    assert scale is not None
    targets: NDArray[np.float64] = (dataset.train.targets - scale.mean) / scale.deviation
    return targets


def parity(row: int) -> str:
    return "ab"[row % 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


class TestUnitsAndOffsets:
    @given(power=st.integers(-300, 300))
    @settings(max_examples=8, deadline=None)
    def test_powers_of_ten(self, folder: Path, power: int) -> None:
        plain = load(folder, "xny", columns(lambda k: X[k], lambda k: 0.5 * X[k]))
        given = columns(lambda k: f"{X[k]}e{power}", lambda k: f"{5 * X[k]}e{power - 1}")
        scaled = load(folder, "xny", given, task="regression")
        np.testing.assert_allclose(standardized(scaled), standardized(plain), rtol=1e-9, atol=1e-9)
        expected = standardized_targets(plain)
        np.testing.assert_allclose(standardized_targets(scaled), expected, rtol=1e-9, atol=1e-9)

    @given(offset=st.integers(-(2**52), 2**52))
    @settings(max_examples=8, deadline=None)
    def test_offsets(self, folder: Path, offset: int) -> None:
        plain = load(folder, "xny", columns(lambda k: X[k], lambda k: X[k]), task="regression")
        given = columns(lambda k: X[k] + offset, lambda k: X[k] + offset)
        shifted = load(folder, "xny", given, task="regression")
        # The mean is rounded to float64; the standard deviation of the values is above 250.
        rounding = 1e-9 + np.spacing(float(abs(offset))) / 250
        for values in (standardized, standardized_targets):
            np.testing.assert_allclose(values(shifted), values(plain), atol=rounding)
        assert len(np.unique(shifted.train.targets)) == len(np.unique(plain.train.targets))

    def test_inputs_and_targets_are_float64(self, tmp_path: Path) -> None:
        dataset = load(tmp_path, "xny", columns(lambda k: X[k], lambda k: X[k] / 8))
        for _, split in dataset.splits():
            assert isinstance(split.inputs, np.ndarray)
            assert split.inputs.dtype == split.targets.dtype == np.float64
        assert dataset.feature_names == ("x", "n")

    @pytest.mark.parametrize("column", [0, 2])
    def test_differences_beyond_float64_are_refused(self, tmp_path: Path, column: int) -> None:
        rows = [list(row) for row in columns(lambda k: k % 7, lambda k: k / 8)]
        # float64 resolves 256 at 2^60.
        for k, row in enumerate(rows):
            row[column] = 2**60 + k
        with pytest.raises(UserError, match=f"'{'xny'[column]}' has numbers .* lost in float64"):
            load(tmp_path, "xny", rows)


WAYS: dict[str, tuple[Callable[[int], str], dict[str, Any]]] = {
    "per cent": (lambda x: f"{x}%", {}),
    "a currency behind": (lambda x: f"{x} €", {}),
    "a currency before": (lambda x: f"-${-x}" if x < 0 else f"${x}", {}),
    "a decimal comma": (lambda x: f"{x},0", {"decimal": ",", "separator": ";"}),
    "thousands": (lambda x: f"{x:,}", {"thousands": ","}),
    "spaces that don't break": (lambda x: f"{x:,}".replace(",", "\u202f"), {"thousands": " "}),
    "a real minus": (lambda x: f"{x}".replace("-", "\u2212"), {}),
    "full width": (lambda x: "".join(chr(ord(c) + 0xFEE0) for c in str(x)), {}),
    "an exponent": (lambda x: f"{x}E0", {}),
    "white space": (lambda x: f" {x}\u00a0", {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_spellings_of_the_same_numbers_are_equal(tmp_path: Path, way: str) -> None:
    write, options = WAYS[way]
    expected = load(tmp_path, "xny", columns(lambda k: 40 * X[k], parity))
    found = load(tmp_path, "xny", columns(lambda k: write(int(40 * X[k])), parity), **options)
    for split, other in zip(expected.splits(), found.splits(), strict=True):
        np.testing.assert_array_equal(other[1].first(COUNT), split[1].first(COUNT))


@pytest.mark.parametrize("write", ["{},5", "<{}", "{}/7", "{}.01.2020", "Jan {}, 2020", "({})"])
def test_ambiguous_columns_never_become_many_inputs(tmp_path: Path, write: str) -> None:
    given = columns(lambda k: write.format(k % 28 + 1), parity)
    with pytest.raises(UserError, match=r"'x' has texts such as .*data\.ignore=\[x\]"):
        load(tmp_path, "xny", given)


class TestLabelsAndCategories:
    NAMES = ("café", "naïve", "thé")

    def codes(self, folder: Path, rewrite: Callable[[str], str]) -> Dataset:
        def name(row: int) -> str:
            return rewrite(self.NAMES[row % 3])

        return load(folder, "xny", columns(name, name))

    @pytest.mark.parametrize(
        "rewrite",
        [
            lambda text: unicodedata.normalize("NFD", text),
            lambda text: f" {text}\u00a0",
            lambda text: f"\u200b{text}",
        ],
        ids=["NFD", "white space", "invisible"],
    )
    def test_rewriting_some_rows_keeps_the_codes(
        self, tmp_path: Path, rewrite: Callable[[str], str]
    ) -> None:
        expected = self.codes(tmp_path, str)
        count = 0

        # A file may mix spellings, for instance after two exports were merged.
        def every_other(text: str) -> str:
            nonlocal count
            count += 1
            return rewrite(text) if count % 3 else text

        found = self.codes(tmp_path, every_other)
        assert (found.class_names, found.feature_names) == (self.NAMES, expected.feature_names)
        assert found.fingerprint == expected.fingerprint

    def test_renaming_classes_in_their_order_keeps_the_codes(self, tmp_path: Path) -> None:
        expected = load(tmp_path, "xny", columns(lambda k: X[k], lambda k: "abc"[k % 3]))
        renamed = load(tmp_path, "xny", columns(lambda k: X[k], lambda k: ["1", "2", "3"][k % 3]))
        assert renamed.class_names == ("1", "2", "3")
        # The numbers are the same; only the names differ.
        assert renamed.content_fingerprint == expected.content_fingerprint
        assert renamed.fingerprint != expected.fingerprint

    def test_columns_in_another_order_keep_the_values(self, tmp_path: Path) -> None:
        expected = load(tmp_path, "xny", columns(lambda k: X[k], parity))
        rows = [row[::-1] for row in columns(lambda k: X[k], parity)]
        found = load(tmp_path, "ynx", rows)
        assert found.feature_names == expected.feature_names[::-1]
        np.testing.assert_array_equal(found.train.first(9)[:, ::-1], expected.train.first(9))

    def test_similar_names_are_noted(self, tmp_path: Path) -> None:
        dataset = load(
            tmp_path,
            "xny",
            columns(lambda k: ["no", "No", "x"][k % 3], lambda k: ["01", "1"][k % 2]),
        )
        assert dataset.class_names == ("01", "1")
        assert "'01' and '1' are different classes, as they are written." in dataset.notes
        assert (
            "'No' and 'no' are different categories of 'x', as they are written." in dataset.notes
        )

    def test_categories_that_only_later_splits_have_are_counted(self, tmp_path: Path) -> None:
        train = load(tmp_path, "xny", columns(lambda k: k, parity))
        # The row number, of an example that is not in training.
        (row,) = train.validation.first(1)[:, :1].astype(int)[0]
        dataset = load(tmp_path, "xny", columns(lambda k: "new" if k == row else parity(k), parity))
        assert any(
            "'x' has 1 of 90 values" in note and "'new' (1)" in note for note in dataset.notes
        )
        assert dataset.feature_names == ("x=a", "x=b", "n")


class TestMissing:
    def test_missing_marks_may_be_classes(self, tmp_path: Path) -> None:
        rows = columns(lambda k: X[k], lambda k: ["NA", "EU", "AS"][k % 3])
        with pytest.raises(
            UserError, match=r"'y' 30 \('NA' 30\).* data\.na_values=\[\] keeps them"
        ):
            load(tmp_path, "xny", rows)
        assert load(tmp_path, "xny", rows, na_values=[]).class_names == ("AS", "EU", "NA")
        notes = load(tmp_path, "xny", rows, missing="drop").notes
        assert any("'y' 30 ('NA' 30)" in note and "data.na_values=[]" in note for note in notes)

    def test_dropped_rows_are_counted_by_column_and_class(self, tmp_path: Path) -> None:
        rows = columns(lambda k: "" if k % 9 == 0 else X[k], lambda k: "abc"[k % 3])
        dataset = load(tmp_path, "xny", rows, missing="drop")
        assert dataset.skipped == 10
        assert (
            "10 of 90 rows lack values and were dropped; missing by column: 'x' 10. By class: 'a' "
            "10 of 30." in dataset.notes
        )

    @pytest.mark.parametrize("classes", ["abc", "ab"])
    def test_class_that_would_be_dropped_is_reported(self, tmp_path: Path, classes: str) -> None:
        size = len(classes)
        rows = columns(lambda k: "" if k % size == 0 else X[k], lambda k: classes[k % size])
        with pytest.raises(UserError) as error:
            load(tmp_path, "xny", rows, missing="drop")
        assert "data.missing=drop" in str(error.value)
        assert f"missing by column: 'x' {COUNT // size}." in str(error.value)

    def test_values_may_be_dropped(self, tmp_path: Path) -> None:
        rows = columns(lambda k: "" if k == 3 else X[k], lambda k: k / 8)
        assert load(tmp_path, "xny", rows, missing="drop").skipped == 1


class TestAnotherTable:
    def test_regression_stays_a_regression(self, tmp_path: Path) -> None:
        known = load(tmp_path, "xny", columns(lambda k: X[k], lambda k: X[k] / 8)).preparation
        # Inferred anew, 0 and 1 would be classes.
        rows = columns(lambda k: X[k], lambda k: k % 2)
        dataset = load(tmp_path, "xny", rows, preparation=known)
        assert (dataset.task, dataset.class_names) == ("regression", ())
        assert set(dataset.train.targets.ravel()) == {0.0, 1.0}
        with pytest.raises(UserError, match="'y' has '0%' on line 2, where numbers are expected"):
            load(tmp_path, "xny", columns(lambda k: X[k], lambda k: f"{k}%"), preparation=known)

    def test_labels_may_have_a_point(self, tmp_path: Path) -> None:
        rows = columns(lambda k: X[k], lambda k: k % 3)
        expected = load(tmp_path, "xny", rows)
        rows = columns(lambda k: X[k], lambda k: f"{k % 3}.0")
        found = load(tmp_path, "xny", rows, preparation=expected.preparation)
        assert found.class_names == ("0", "1", "2")
        np.testing.assert_array_equal(found.train.targets, expected.train.targets)

    def test_index_is_recognized_although_rows_are_dropped(self, tmp_path: Path) -> None:
        rows = [[k, "" if k == 7 else X[k], parity(k)] for k in range(COUNT)]
        with pytest.raises(UserError, match="'id' numbers the rows"):
            load(tmp_path, ["id", "x", "y"], rows, missing="drop")
        rows = [[k, X[k], parity(k)] for k in range(COUNT)]
        assert load(tmp_path, ["id", "x", "y"], rows, ignore=["id"]).feature_names == ("x",)

    def test_long_list_of_columns_is_shortened(self, tmp_path: Path) -> None:
        names = [f"c{k}" for k in range(300)]
        with pytest.raises(UserError) as error:
            load(tmp_path, names, [["1"] * 300] * 9, target="z")
        assert "data.target=z: there is no such column." in str(error.value)
        assert len(str(error.value)) < 600  # of 300 columns
