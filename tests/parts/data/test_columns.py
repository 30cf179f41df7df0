"""Columns of a table that are refused or noted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expt.errors import UserError
from expt.parts.data.columns import check_indices, column_notes, fit_column
from expt.parts.data.encoding import Encoder
from expt.parts.data.number_formats import NumberFormat

ROWS = np.arange(60)


def table(name: str, text: Callable[[int], Any], count: int = 60) -> pd.DataFrame:
    # The index is the line in a file, of which the header is line 1.
    texts = [str(text(k)) for k in range(count)]
    return pd.DataFrame({name: texts}, index=range(2, 2 + count), dtype="str")


@pytest.mark.parametrize(
    "name",
    [
        *("id", "ID", "index", "Idx", "Unnamed: 0", "Unnamed: 0.1", "row_names", "nr", "No", "#"),
        *("user_id", "row id", "PassengerId", "customerID", "level_0"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [lambda k: k, lambda k: k + 1, lambda k: 3 * k + k % 2, lambda k: -k, lambda k: f"{k}.0"],
    ids=["from 0", "from 1", "with gaps", "falling", "with points"],
)
def test_columns_that_number_the_rows_are_refused(name: str, text: Callable[[int], Any]) -> None:
    with pytest.raises(UserError, match=f"'{name}' numbers the rows, .*data.ignore=\\["):
        check_indices(table(name, text), [name], [])


def test_index_written_by_pandas_is_refused_in_any_order() -> None:
    with pytest.raises(UserError, match=r"data\.ignore=\['Unnamed: 0'\]"):
        check_indices(table("Unnamed: 0", lambda k: 7 * k % 60), ["Unnamed: 0"], [])


# Most of these names contain or end in "id", but not as a word.
@pytest.mark.parametrize("name", ["year", "time", "grid", "paid", "humid", "Madrid", "width"])
def test_other_columns_that_rise_by_one_are_noted(name: str) -> None:
    assert check_indices(table(name, lambda k: 1900 + k), [name], []) == [
        f"'{name}' increases by one from row to row, like an index; to leave it out: "
        f"data.ignore=[{name}]."
    ]
    assert check_indices(table(name, lambda k: 1900 + 2 * k), [name], []) == []


def test_identifiers_in_another_order_are_noted() -> None:
    # 7 and 60 have no common factor, so every number occurs once.
    (note,) = check_indices(table("id", lambda k: 7 * k % 60), ["id"], [])
    assert note.startswith("'id' has a different whole number in every row")


@pytest.mark.parametrize("text", [lambda k: k // 2, lambda k: k + 0.5, lambda k: f"r{k}"])
def test_repeated_numbers_fractions_and_text_are_not_an_index(text: Callable[[int], Any]) -> None:
    assert check_indices(table("id", text), ["id"], []) == []


def test_categorical_and_ignored_columns_are_not_checked() -> None:
    rows = table("id", lambda k: k)
    assert check_indices(rows, ["id"], ["id"]) == check_indices(rows, [], []) == []


def notes(name: str, text: Callable[[int], Any], *, categorical: bool = False) -> list[str]:
    rows = table(name, text)
    column = fit_column(
        rows[name], ROWS, is_text=categorical, impute=False, numbers_as=NumberFormat()
    )
    encoder = Encoder((column,), ",", impute=False)
    return list(column_notes(rows, encoder, [name] if categorical else []))


def test_units_and_dates_are_noted() -> None:
    assert notes("x", lambda k: f"{k}%") == ["'x' is read as numbers in %."]
    assert notes("x", lambda k: f"2020-01-{1 + k % 28:02}") == [
        "'x' is read as dates, as days since 1970-01-01 UTC."
    ]
    assert notes("x", lambda k: k) == []


def test_leading_zeros_of_numbers_are_noted() -> None:
    (note,) = notes("zip", lambda k: f"0{1000 + k % 7}")
    assert note.startswith("'zip' is read as numbers, but some have leading zeros, such as '01")
    assert note.endswith("data.categorical=[zip].")
    assert notes("zip", lambda k: f"0{1000 + k % 7}", categorical=True) == []
    assert notes("x", lambda k: f"0.{k}") == []  # the zero of a fraction is no leading zero


def test_categories_that_look_alike_are_noted() -> None:
    assert notes("x", lambda k: ["yes", "Yes", "no"][k % 3]) == [
        "'Yes' and 'yes' are different categories of 'x', as they are written."
    ]


def test_categories_that_differ_only_in_numbers_are_noted() -> None:
    (note,) = notes("x", lambda k: f"ca. {k % 20}")
    assert note.startswith("'x' has 20 categories that differ only in their numbers, such as 'ca.")
    assert notes("x", lambda k: f"ca. {k % 20}", categorical=True) == []
    assert notes("x", lambda k: f"zone {k % 5}") == []  # few enough to be names


def test_advice_is_a_valid_override() -> None:
    with pytest.raises(UserError) as error:
        notes("petal width (cm)", lambda k: f"{k},5")
    assert "data.ignore=['petal width (cm)']" in str(error.value)
    assert "data.decimal=','" in str(error.value)
