"""Encoding of another table for a trained model: identical, or with a note on the differences."""

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.errors import UserError
from expt.parts.data.csv_files import normalize_text
from expt.parts.data.encoding import Column, Encoder, categories_of
from expt.parts.data.number_formats import NumberFormat

COLOURS = ("blue", "café", "red")
SMOKER = Column("smoker", categories=("False", "True"))
ZONE = Column("zone", categories=("1", "10", "2"))
SIZE = Column("size", number=NumberFormat())
ENCODER = Encoder((SMOKER, ZONE, SIZE), ",", impute=False, class_names=("a", "b"))


def table(**columns: list[str]) -> pd.DataFrame:
    # As read_table returns it: the index is the line in the file.
    lines = range(2, 2 + len(next(iter(columns.values()))))
    return pd.DataFrame(columns, index=lines, dtype="str")


def one_column(categories: tuple[str, ...], *, impute: bool = False) -> Encoder:
    return Encoder((Column("x", categories=categories),), ",", impute)


def test_inputs_are_float64_in_the_columns_order() -> None:
    # The columns of the table are in another order than those of the encoder.
    given = table(size=["0.1", "-2e300"], zone=["2", "1"], smoker=["True", "False"])
    encoded = ENCODER.transform(given)
    assert encoded.inputs.dtype == np.float64
    assert encoded.inputs.tolist() == [[0, 1, 0, 0, 1, 0.1], [1, 0, 1, 0, 0, -2e300]]
    assert encoded.notes == ()
    assert ENCODER.feature_names == (
        *("smoker=False", "smoker=True"),
        *("zone=1", "zone=10", "zone=2", "size"),
    )
    assert ENCODER.are_numbers.tolist() == [False] * 5 + [True]


def test_unknown_categories_are_counted() -> None:
    given = table(x=["True", "TRUE", "TRUE", "False", "maybe"])
    encoded = one_column(("False", "True")).transform(given)
    assert encoded.inputs.tolist() == [[0, 1], [0, 0], [0, 0], [1, 0], [0, 0]]
    assert encoded.notes == (
        "'x' has 3 of 5 values that did not occur in training and are encoded "
        "as zeros: 'TRUE' (2; known: 'True'), 'maybe' (1).",
    )


def test_column_of_unknown_categories_is_refused() -> None:
    with pytest.raises(UserError) as error:
        one_column(("False", "True")).transform(table(x=["TRUE", "FALSE", "TRUE"]))
    assert str(error.value).startswith(
        "'x' has no value that occurred in training, but 'TRUE' (2; known: 'True'), "
        "'FALSE' (1; known: 'False'). Known: 'False', 'True'."
    )


def test_long_list_of_categories_is_shortened() -> None:
    # Long texts are not compared with the known ones, which would take minutes.
    encoder = one_column(tuple(f"c{k:03}" for k in range(100)))
    with pytest.raises(UserError) as error:
        encoder.transform(table(x=[f"{'z' * 200_000}{k}" for k in range(50)]))
    assert "and 45 more. Known: 'c000', " in str(error.value)
    assert "'c009' and 90 more." in str(error.value)
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("text", ["1", "1.0", "1.", "+1", "1.000"])
def test_whole_numbers_are_one_category(text: str) -> None:
    assert categories_of(pd.Series([text, "2", "10"])) == ("1", "10", "2")
    encoded = one_column(("1", "10", "2")).transform(table(x=[text]))
    assert (encoded.inputs.tolist(), encoded.notes) == ([[1, 0, 0]], ())


@pytest.mark.parametrize("text", ["01", "1.5", "1,0", "1e0", "one"])
def test_other_texts_are_different_categories(text: str) -> None:
    encoded = one_column(("1", "2")).transform(table(x=[text, "2"]))
    assert encoded.inputs.tolist() == [[0, 0], [0, 1]]
    assert f"{text!r} (1" in encoded.notes[0]


def test_versions_and_codes_are_different_categories() -> None:
    texts = ("007", "3.1", "3.10", "7", "x")
    assert categories_of(pd.Series(texts)) == texts
    assert one_column(texts).transform(table(x=list(texts))).inputs.tolist() == np.eye(5).tolist()


# Changes of texts that CSV files come with, and changes that make other categories.
KEEPING: dict[str, Callable[[str], str]] = {
    "white space": lambda text: f" {text}\t",
    "spaces that don't break": lambda text: f"\u00a0{text}\u202f",
    "letters in parts": lambda text: unicodedata.normalize("NFD", text),
    "a byte order mark": lambda text: f"\ufeff{text}",
}
BREAKING: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "a letter more": lambda text: text + "s",
    "a space within": lambda text: f"{text[0]} {text[1:]}",
    "quotes": lambda text: f"'{text}'",
}


@pytest.mark.parametrize("rewriting", KEEPING)
@given(rows=st.lists(st.sampled_from(COLOURS), min_size=1, max_size=8))
@settings(max_examples=20)
def test_rewriting_that_keeps_the_meaning_keeps_the_inputs(rewriting: str, rows: list[str]) -> None:
    encoder = one_column(tuple(sorted(map(normalize_text, COLOURS))))
    expected = encoder.transform(table(x=rows))
    rewritten = [normalize_text(KEEPING[rewriting](text)) for text in rows]
    found = encoder.transform(table(x=rewritten))
    np.testing.assert_array_equal(found.inputs, expected.inputs)
    assert found.notes == ()


@pytest.mark.parametrize("rewriting", BREAKING)
@given(rows=st.lists(st.sampled_from(COLOURS), min_size=1, max_size=8))
@settings(max_examples=20)
def test_rewriting_that_breaks_the_meaning_is_reported(rewriting: str, rows: list[str]) -> None:
    rewritten = [normalize_text(BREAKING[rewriting](text)) for text in rows]
    # Next to known values unknown ones are noted; alone they are refused.
    found = one_column(COLOURS).transform(table(x=[*COLOURS, *rewritten]))
    assert f"'x' has {len(rows)} of {len(rows) + 3} values" in found.notes[0]
    with pytest.raises(UserError, match="'x' has no value that occurred in training"):
        one_column(COLOURS).transform(table(x=rewritten))


@given(st.permutations(range(6)), st.permutations(["smoker", "zone", "size"]))
@settings(max_examples=20)
def test_the_order_of_rows_and_columns_makes_no_difference(
    rows: list[int], columns: list[str]
) -> None:
    given = table(smoker=["True", "False"] * 3, zone=["1", "2", "10"] * 2, size=list("123456"))
    expected = ENCODER.transform(given).inputs[rows]
    np.testing.assert_array_equal(ENCODER.transform(given.iloc[rows][columns]).inputs, expected)


def test_missing_values() -> None:
    column = Column("n", fill=2.5, number=NumberFormat())
    encoder = Encoder((column, Column("x", categories=("", "a"))), ",", impute=True)
    encoded = encoder.transform(table(n=["", "1"], x=["a", ""]))
    assert encoded.inputs.tolist() == [[2.5, 0, 1], [1, 1, 0]]
    # Without missing values in training, "" is an unknown category.
    encoded = one_column(("a", "b"), impute=True).transform(table(x=["a", "", ""]))
    assert "2 of 3 values" in encoded.notes[0]
    assert "a missing one (2)" in encoded.notes[0]
    with pytest.raises(UserError, match="line 3 has no value of 'x'"):
        one_column(("a", "b")).transform(table(x=["a", ""]))


def test_missing_columns_are_listed_up_to_ten() -> None:
    with pytest.raises(
        UserError, match=r"the columns 'x' are missing; the table has 'c0', .* 990 more"
    ):
        one_column(("a",)).transform(table(**{f"c{k}": ["a"] for k in range(1000)}))


def test_mapping_survives_json() -> None:
    how = NumberFormat("number", ",", ".", "$", "%")
    encoder = Encoder(
        (SMOKER, Column("x", fill=1.5, number=how), Column("d", number=NumberFormat("date"))),
        ";",
        impute=True,
        na_values=("NA",),
        class_names=("01", "1"),
        target=how,
    )
    mapping = json.loads(json.dumps(encoder.to_mapping()))
    assert mapping["kind"] == "table"
    assert Encoder.from_mapping(mapping) == encoder
    assert Encoder.from_mapping(mapping).to_mapping() == mapping


COLUMN = SIZE.to_mapping()
DAMAGES: dict[str, Any] = {
    "no columns": {"columns": []},
    "columns that are no list": {"columns": 5},
    "columns that are text": {"columns": "abc"},
    "an empty column": {"columns": [{}]},
    "a name that is no text": {"columns": [{**COLUMN, "name": 5}]},
    "categories that are no texts": {"columns": [{**SMOKER.to_mapping(), "categories": [1]}]},
    "categories as one text": {"columns": [{**SMOKER.to_mapping(), "categories": "ab"}]},
    "neither categories nor numbers": {"columns": [{**COLUMN, "number": None}]},
    "an unknown number": {"columns": [{**COLUMN, "number": {**COLUMN["number"], "kind": "x"}}]},
    "a fill that is no number": {"columns": [{**COLUMN, "fill": "many"}]},
    "a fill that is NaN": {"columns": [{**COLUMN, "fill": float("nan")}]},
    "a separator that is no text": {"separator": None},
    "missing values as one text": {"na_values": "NA"},
    "classes that are no texts": {"class_names": [1, 2]},
    "a target that is no format": {"target": {"kind": "number"}},
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_mappings_are_reported(case: str) -> None:
    with pytest.raises(UserError, match=r"run\.json is damaged: its data\.preparation is not"):
        Encoder.from_mapping({**ENCODER.to_mapping(), **DAMAGES[case]})


@pytest.mark.parametrize("key", sorted({*ENCODER.to_mapping()} - {"kind"}))
def test_mappings_without_a_key_are_reported(key: str) -> None:
    mapping = {name: value for name, value in ENCODER.to_mapping().items() if name != key}
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        Encoder.from_mapping(mapping)
