"""A DataFrame becomes the same inputs as a CSV file of the same rows in expt.predict."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.serving.frames import as_text_table

PLAIN = NumberFormat()
PERCENT = NumberFormat(suffix="%")
COMMA = NumberFormat(decimal=",", thousands=".")


def encoder(*columns: Column, impute: bool = False, na_values: Any = None) -> Encoder:
    return Encoder(columns, ",", impute, na_values)


def numbers(values: Any, how: NumberFormat = PLAIN, *, fill: float | None = None) -> Any:
    made = encoder(Column("a", fill=fill, number=how), impute=fill is not None)
    return inputs(pd.DataFrame({"a": values}), made)[:, 0].tolist()


def categories(values: Any, *known: str, **options: Any) -> Any:
    """Returns the known category of each value; none if it is unknown."""
    made = encoder(Column("a", categories=known), **options)
    one_hot = inputs(pd.DataFrame({"a": values}), made)
    return [known[row.argmax()] if row.any() else None for row in one_hot]


def inputs(frame: pd.DataFrame, made: Encoder) -> NDArray[np.float64]:
    return made.transform(as_text_table(frame, made)).inputs


@pytest.mark.parametrize(
    "values",
    [
        [25, 30],
        [25.0, 30.0],
        np.array([25, 30], np.uint8),
        np.array([25, 30], np.float32),
        pd.array([25, 30], dtype="Int64"),
        np.array([25, np.int64(30)], object),
        [decimal.Decimal("25"), decimal.Decimal("30.0")],
        ["25", " 30 "],
        pd.Categorical(["25", "30"]),
    ],
    ids=str,
)
def test_numbers_of_every_type_and_texts_of_them_are_the_same(values: Any) -> None:
    assert numbers(values) == [25, 30]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_numbers_keep_all_digits_whatever_the_decimal_separator(values: list[float]) -> None:
    assert numbers(values) == values
    assert numbers(values, COMMA) == values


def test_numbers_with_a_decimal_comma_are_never_read_as_thousands() -> None:
    assert numbers([1.234, 1234.5], COMMA) == [1.234, 1234.5]
    assert numbers(["1.234", "1.234,5"], COMMA) == [1234, 1234.5]


def test_texts_with_a_unit_are_numbers_and_numbers_without_it_are_refused() -> None:
    assert numbers(["52%", "7.5 %"], PERCENT) == [52, 7.5]
    with pytest.raises(UserError, match=r"'a' has '0.52' on row 1, where numbers in % are"):
        numbers([0.52, 0.1], PERCENT)


def test_dates_and_times_are_texts_or_objects() -> None:
    date = NumberFormat("date")
    days = ["1970-01-02", "1970-01-03 12:00"]
    assert numbers(days, date) == [1, 2.5]
    assert numbers(pd.to_datetime(pd.Series(days), format="ISO8601"), date) == [1, 2.5]
    assert numbers([datetime.date(1970, 1, 2)], date) == [1]
    zoned = pd.Timestamp("1970-01-02 02:00+02:00")
    assert numbers([zoned], date) == [1]
    assert numbers(["0:01:30", datetime.time(0, 1, 30)], NumberFormat("time")) == [90, 90]
    with pytest.raises(UserError, match="where dates, as days since"):
        numbers([18262], date)


@pytest.mark.parametrize(
    "blank", [None, np.nan, pd.NA, pd.NaT, "", " ", "NA", "?", "null"], ids=str
)
def test_missing_values_are_imputed_or_refused(blank: Any) -> None:
    assert numbers(pd.Series([1, blank], dtype=object), fill=7.0) == [1, 7]
    assert categories(["x", blank], "", "x", impute=True) == ["x", ""]
    with pytest.raises(UserError, match="row 2 has no value of 'a'; expected one"):
        categories(["x", blank], "x")


def test_blank_that_may_be_a_category_is_refused() -> None:
    """Such as NA for Namibia, with data.na_values=[]."""
    known: dict[str, Any] = {"na_values": (), "impute": True}
    assert categories(["NA", "DE", ""], "", "DE", "NA", **known) == ["NA", "DE", ""]
    with pytest.raises(
        UserError, match=r"lacks a value, which may be the category 'NA' that pandas"
    ):
        categories([np.nan, "DE"], "", "DE", "NA", **known)


def test_numbers_and_booleans_match_categories_by_meaning() -> None:
    assert categories([7, 12, 12.0], "007", "12") == ["007", "12", "12"]
    assert categories([3.1, 2], "3.10", "2") == ["3.10", "2"]
    assert categories([True, False], "TRUE", "false") == ["TRUE", "false"]
    assert categories([5, 12], "12", "x") == [None, "12"]


@pytest.mark.parametrize(
    ("value", "known"), [(7, ("007", "7")), (3.1, ("3.1", "3.10")), (True, ("TRUE", "True"))]
)
def test_value_that_matches_several_categories_is_refused(
    value: Any, known: tuple[str, str]
) -> None:
    assert categories([known[0], known[1]], *known) == [*known]
    with pytest.raises(
        UserError, match=rf"{value}, which may be any of the categories '{known[0]}"
    ):
        categories([value, "x"], *known)


def test_unknown_categories_are_counted_and_a_column_of_them_is_refused() -> None:
    made = encoder(Column("a", categories=("blue", "red")))
    frame = pd.DataFrame({"a": ["red", "Red", "pink", "pink"]})
    (note,) = made.transform(as_text_table(frame, made)).notes
    assert note == (
        "'a' has 3 of 4 values that did not occur in training and are encoded "
        "as zeros: 'pink' (2), 'Red' (1; known: 'red')."
    )
    with pytest.raises(UserError, match="'a' has no value that occurred in training, but 'pink'"):
        inputs(frame[1:], made)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [True]}), "'a' has 'True' on row 1, where numbers are expected"),
        (pd.DataFrame({"a": [np.inf]}), "'a' has 'inf' on row 1"),
        (pd.DataFrame({"a": [1, "two"]}), "'a' has 'two' on row 2, where numbers"),
        (pd.DataFrame({"a": [[1], 2]}), "'a' has a value of the type list; expected a text"),
        (pd.DataFrame({"a": [b"1"]}), "'a' has a value of the type bytes"),
        (pd.DataFrame({"a": [1j]}), "'a' has a value of the type complex"),
        (pd.DataFrame({"b": [1]}), "the columns 'a' are missing"),
        (pd.DataFrame({"a": []}), "there are no rows; expected at least one"),
    ],
    ids=["boolean", "infinite", "text", "list", "bytes", "complex", "missing", "empty"],
)
def test_unsupported_values_are_refused_with_their_row(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(UserError, match=message):
        inputs(frame, encoder(Column("a", number=PLAIN)))


TEXTS = st.sampled_from(["red", "12", "12.0", "007", "3.10", "TRUE", "NA", "Größe", " x ", "1e3"])


@given(
    st.lists(st.tuples(TEXTS, st.floats(-1e6, 1e6), st.integers(0, 9)), min_size=1, max_size=8),
    st.permutations(["kind", "size", "count", "extra"]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_csv_file_read_by_pandas_has_the_same_inputs(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], order: list[str], first: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    known = ("1e3" if first else "red", 0.0, 1)  # all unknown would be refused
    frame = pd.DataFrame([known, *rows], columns=["kind", "size", "count"]).assign(extra="e")
    frame[order].to_csv(path, index=False)
    made = encoder(
        Column("kind", categories=("", "007", "1e3", "12", "3.10", "TRUE", "red", "x")),
        Column("size", fill=0.5, number=PLAIN),
        Column("count", fill=0.5, number=PLAIN),
        impute=True,
    )
    expected = made.transform(made.read(Path(path))).inputs
    for text in (True, False):
        kinds: Any = {"dtype": str, "keep_default_na": False} if text else {}
        np.testing.assert_allclose(inputs(pd.read_csv(path, **kinds), made), expected, rtol=1e-14)
