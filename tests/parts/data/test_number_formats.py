"""Text that means numbers is read as such, or refused; it never becomes hundreds of names."""

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expt.errors import UserError
from expt.parts.data.number_formats import (
    NumberFormat,
    canonical,
    check_format_options,
    find_format,
    is_canonical,
    numbers,
)

NUMBERS = [0.25 * k for k in range(1, 41)]
NO_NAN = st.floats(allow_nan=False, allow_infinity=False)


def column(*texts: str) -> "pd.Series[str]":
    return pd.Series(list(texts), index=range(2, 2 + len(texts)), name="x", dtype="str")


def values(*texts: str, **options: Any) -> list[float] | None:
    """The numbers of a column; None if it is of names."""
    how = find_format(column(*texts), **options)
    return None if how is None else numbers(column(*texts), how).tolist()


@given(st.lists(NO_NAN, min_size=1, max_size=30))
def test_numbers_are_read_exactly(given: list[float]) -> None:
    assert values(*map(repr, given)) == given


@pytest.mark.parametrize("text", ["1e5", "+5", ".5", "5.", "-0.0", "1E-300", "007", "−5"])
def test_plain_numbers(text: str) -> None:
    assert values(text, "2") == [float(text.replace("−", "-")), 2.0]


UNITS = {
    "per cent": "{}%",
    "dollars": "${}",
    "euros behind": "{} €" if False else "€ {}",
    "a unit": "{} kg",
    "a unit without a space": "{}kg",
    "degrees": "{}°C",
}


@pytest.mark.parametrize("unit", UNITS)
def test_the_same_unit_on_every_row(unit: str) -> None:
    assert values(*[UNITS[unit].format(number) for number in NUMBERS]) == NUMBERS


def test_a_unit_is_described() -> None:
    how = find_format(column("5 kg", "7 kg"))
    assert how is not None
    assert how.describe() == "numbers in kg"
    assert NumberFormat().describe() == ""


@pytest.mark.parametrize(("decimal", "thousands"), [(".", ","), (",", "."), (".", " "), (",", "'")])
def test_numbers_as_other_countries_write_them(decimal: str, thousands: str) -> None:
    given = [*NUMBERS, 1234.5, 1234567.0, -9876543.25]
    swapped = str.maketrans({",": thousands, ".": decimal})
    texts = [f"{number:,.2f}".translate(swapped) for number in given]
    assert values(*texts, decimal=decimal, thousands=thousands) == given
    with pytest.raises(UserError, match=r"data\.(decimal|thousands)="):
        find_format(column(*texts))


def test_columns_with_points_beside_columns_with_decimal_commas() -> None:
    assert values("25.5", "3.25", decimal=",") == [25.5, 3.25]
    with pytest.raises(UserError, match="look like numbers"):  # thousands, or not
        find_format(column(*[f"{k}.125" for k in range(1, 30)]), decimal=",")


def test_dates_are_days_since_1970() -> None:
    moments = [datetime.datetime(2020, 1, 31), datetime.datetime(1969, 12, 31, 12)]
    days = [(m - datetime.datetime(1970, 1, 1)) / datetime.timedelta(1) for m in moments]
    assert values(*[m.isoformat() for m in moments]) == days
    assert values(*[m.isoformat(" ") for m in moments]) == days
    assert values("2020-01-31", "2020/2/1") == [18292.0, 18293.0]
    assert values("1970-01-01T01:00:00+01:00", "1970-01-02T00:00:00Z") == [0.0, 1.0]
    with pytest.raises(UserError, match="'2020-13-01' on line 12"):
        find_format(
            column(*["2020-01-01"] * 5, *[f"2020-01-{k:02}" for k in range(1, 28)]).replace(
                "2020-01-06", "2020-13-01"
            )
        )


def test_times_are_seconds() -> None:
    assert values("12:30", "1:05:10.5", "-0:30") == [45000.0, 3910.5, -1800.0]


UNCERTAIN = {
    "bounds": (["<5", "<0.1", ">3"], "bounds"),
    "parentheses": (["(5)", "(6.5)"], "parentheses"),
    "days and months": (["03/04/2020", "05/06/2021"], "YYYY-MM-DD"),
    "German dates": (["03.04.2020", "31.12.2021"], "YYYY-MM-DD"),
    "commas": (["12,25", "3,5"], "data.decimal=','"),
    "thousands or decimals": (["1,234", "5,678"], "data.decimal=',' or data.thousands=','"),
    "thousands": (["1,234.5", "5,678.9"], "data.thousands=','"),
    "spaces": (["1 234", "5 678"], "data.thousands=' '"),
    "apostrophes": (["1'234", "5'678"], "data.thousands="),
    "ranges": (["1-5", "6-10"], "ranges"),
    "codes": ([f"{k}_{k % 7}" for k in range(30)], "look like numbers"),
    "full width": ([chr(0xFF10 + k % 10) * (1 + k // 10) for k in range(30)], "look like numbers"),
    "a slip": ([*map(str, range(20)), "1O"], "'1O' on line 22"),
    "another unit": ([*[f"{k} kg" for k in range(20)], "5 lb"], "'5 lb' on line 22"),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_what_is_not_certain_is_refused(case: str) -> None:
    texts, message = UNCERTAIN[case]
    with pytest.raises(UserError) as error:
        find_format(column(*texts))
    assert message in str(error.value)
    assert str(error.value).startswith("'x' has ")


@pytest.mark.parametrize(
    "texts",
    [
        ("red", "blue"),
        ("True", "False"),
        ("A1", "B2", "C3"),
        ("nan", "inf"),
        ("0x10", "0x11"),
        ("1_000", "2_000"),
        ("second class", "1st class"),
    ],
)
def test_names_are_names(texts: tuple[str, ...]) -> None:
    assert find_format(column(*texts)) is None


def test_whole_numbers_that_float64_merges_are_refused() -> None:
    with pytest.raises(UserError, match=r"'x' has whole numbers up to 1700000000000000124"):
        values("1700000000000000123", "1700000000000000124")
    assert values("1700000000000000000", "1800000000000000001") == [1.7e18, 1.8e18]


def test_missing_values_are_nan() -> None:
    found = numbers(column("1", "", "3"), NumberFormat())
    assert (found.iloc[0], math.isnan(found.iloc[1]), found.iloc[2]) == (1.0, True, 3.0)
    with pytest.raises(UserError, match="'x' has 'many' on line 3"):
        numbers(column("1", "many", ""), NumberFormat())


def test_a_format_survives_json() -> None:
    how = NumberFormat("number", ",", ".", "$", "%")
    assert NumberFormat.from_mapping(how.to_mapping()) == how


@given(st.integers(-(10**25), 10**25))
def test_a_whole_number_is_written_in_one_way(number: int) -> None:
    assert canonical(str(number)) == str(number)
    assert is_canonical(str(number))
    if abs(number) < 2**53:
        assert canonical(f"{number}.0") == canonical(f"{number}.") == str(number)


def test_leading_zeros_make_names() -> None:
    for text in ("007", "01", "00", "-01"):
        assert canonical(text) == text
        assert not is_canonical(text)
    assert canonical("+1") == canonical("1.00") == "1"
    assert canonical("0.50") == "0.5"
    assert not is_canonical("1.0")


@pytest.mark.parametrize(
    ("decimal", "thousands"), [(";", None), (".", "."), (",", ","), (".", "_"), (None, None)]
)
def test_bad_options(decimal: Any, thousands: Any) -> None:
    with pytest.raises(UserError, match=r"data\.(decimal|thousands)="):
        check_format_options(decimal, thousands)


def test_large_columns_are_parsed_at_once() -> None:
    given = np.random.default_rng(0).normal(size=1000)
    np.testing.assert_array_equal(numbers(column(*map(str, given)), NumberFormat()), given)
