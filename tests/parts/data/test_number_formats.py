"""Text that means numbers is parsed or refused; it never becomes hundreds of categories."""

import datetime
import json
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
    check_exactness,
    check_format_options,
    parse_numbers,
    to_canonical,
)
from expt.parts.data.number_recognition import find_format

NUMBERS = [0.25 * k for k in range(1, 41)]
NO_NAN = st.floats(allow_nan=False, allow_infinity=False)


def column(*texts: str) -> "pd.Series[str]":
    # The index is the line in a file, of which the header is line 1.
    return pd.Series(list(texts), index=range(2, 2 + len(texts)), name="x", dtype="str")


def values(*texts: str, **options: Any) -> list[float] | None:
    """Returns the numbers of a column; None if its texts are names."""
    how = find_format(column(*texts), **options)
    return None if how is None else parse_numbers(column(*texts), how).tolist()


@given(st.lists(NO_NAN, min_size=1, max_size=30))
def test_numbers_are_read_exactly(given: list[float]) -> None:
    assert values(*map(repr, given)) == given


@pytest.mark.parametrize("text", ["1e5", "+5", ".5", "5.", "-0.0", "1E-300", "007", "−5"])
def test_plain_numbers(text: str) -> None:
    assert values(text, "2") == [float(text.replace("−", "-")), 2.0]


UNITS = {
    "per cent": "{}%",
    "dollars": "${}",
    "euros behind": "{} €",
    "a unit": "{} kg",
    "a unit without a space": "{}kg",
    "degrees": "{}°C",
}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_of_every_row_is_stripped(unit: str) -> None:
    assert values(*[UNITS[unit].format(number) for number in NUMBERS]) == NUMBERS


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("$5", "-$6.5"), [5.0, -6.5]),
        (("US$5", "US$6"), [5.0, 6.0]),
        (("GBP 5", "GBP 6"), [5.0, 6.0]),
        (("5 USD", "6 USD"), [5.0, 6.0]),
        (("1e3 kg", "2 kg"), [1000.0, 2.0]),
        # Full-width digits, a full-width per cent sign, and Arabic digits.
        (("\uff11\uff12", "\uff0d\uff13"), [12.0, -3.0]),
        (("5\uff05", "7\uff05"), [5.0, 7.0]),
        (("\u0661\u0662", "\u0663"), [12.0, 3.0]),
    ],
)
def test_other_units_and_scripts(texts: tuple[str, ...], expected: list[float]) -> None:
    assert values(*texts) == expected


def test_numbers_with_another_unit_are_not_parsed() -> None:
    how = NumberFormat(suffix="%")
    for text in ("5", "5 kg", "%5", "5%%"):
        assert math.isnan(how.value(text))
    assert how.value("5 %") == 5


def test_a_unit_is_described() -> None:
    how = find_format(column("5 kg", "7 kg"))
    assert how is not None
    assert how.describe() == "numbers in kg"
    assert NumberFormat().describe() == ""


@pytest.mark.parametrize(("decimal", "thousands"), [(".", ","), (",", "."), (".", " "), (",", "'")])
def test_decimal_and_thousands_separators(decimal: str, thousands: str) -> None:
    given = [*NUMBERS, 1234.5, 1234567.0, -9876543.25]
    swapped = str.maketrans({",": thousands, ".": decimal})
    texts = [f"{number:,.2f}".translate(swapped) for number in given]
    assert values(*texts, decimal=decimal, thousands=thousands) == given
    # Without the options, the message suggests them.
    with pytest.raises(UserError, match=r"data\.(decimal|thousands)="):
        find_format(column(*texts))


def test_columns_may_mix_decimal_points_and_commas() -> None:
    assert values("25.5", "3.25", decimal=",") == [25.5, 3.25]
    assert values("1.125", "0.125", decimal=",") == [1.125, 0.125]
    assert values("1.125", "1125.125", decimal=",") == [1.125, 1125.125]
    with pytest.raises(UserError, match=r"data\.thousands='\.'"):  # may be decimals as well
        find_format(column(*[f"{k}.125" for k in range(1, 30)]), decimal=",")


def test_dates_are_days_since_1970() -> None:
    moments = [datetime.datetime(2020, 1, 31), datetime.datetime(1969, 12, 31, 12)]
    days = [(m - datetime.datetime(1970, 1, 1)) / datetime.timedelta(1) for m in moments]
    assert values(*[m.isoformat() for m in moments]) == days
    assert values(*[m.isoformat(" ") for m in moments]) == days
    assert values("2020-01-31", "2020/2/1") == [18292.0, 18293.0]
    assert values("1970-01-01T01:00:00+01:00", "1970-01-02T00:00:00Z") == [0.0, 1.0]
    assert values("1970-01-01 01:00:00 +0100", "1970-01-02 00:00 UTC") == [0.0, 1.0]
    with pytest.raises(UserError, match="'2020-13-01' on line 12"):
        find_format(
            column(*["2020-01-01"] * 5, *[f"2020-01-{k:02}" for k in range(1, 28)]).replace(
                "2020-01-06", "2020-13-01"
            )
        )


def test_times_are_seconds() -> None:
    assert values("12:30", "1:05:10.5", "-0:30") == [45000.0, 3910.5, -1800.0]


# By name: the texts of a column, and a part of the message.
AMBIGUOUS = {
    "bounds": (["<5", "<0.1", ">3"], "bounds"),
    "parentheses": (["(5)", "(6.5)"], "parentheses"),
    "days and months": (["03/04/2020", "05/06/2021"], "YYYY-MM-DD"),
    "German dates": (["03.04.2020", "31.12.2021"], "YYYY-MM-DD"),
    "commas": (["12,25", "3,5"], "data.decimal=','"),
    "thousands or decimals": (["1,234", "5,678"], "data.decimal=',' or data.thousands=','"),
    "thousands": (["1,234.5", "5,678.9"], "data.thousands=','"),
    "spaces": (["1 234", "5 678"], "data.thousands=' '"),
    "apostrophes": (["1'234", "5'678"], "data.thousands="),
    "ranges": ([f"{k}-{k + 4}" for k in range(1, 30, 2)], "ranges"),
    "decimal commas among whole numbers": (["1,5", "2,5", "3"], "data.decimal=','"),
    "thousands among small numbers": (["950", "1,050", "1,100,000"], "data.thousands=','"),
    "thousands and a currency": (["$1,234.50", "$5,678.90"], "data.thousands=','"),
    "spaces that don't break": (["1\u00a0234", "5\u202f678"], "data.thousands=' '"),
    "points between thousands": (["1.234.567", "950"], "data.decimal=',' data.thousands='.'"),
    "thousands of India": (["1,23,456", "12,34,567"], "data.thousands=','"),
    "bounds among numbers": (["<1", *map(str, range(1, 20))], "bounds"),
    "at least": (["≥5", ">=7"], "bounds"),
    "negative ones in parentheses": (["(5)", "6"], "parentheses"),
    "names of months": (["Jan 5, 2020", "March 12, 2021"], "YYYY-MM-DD"),
    "months behind": (["5 Jan 1980", "12 Mar 1981"], "YYYY-MM-DD"),
    "points in dates": (["2020.01.05", "2020.02.05"], "YYYY-MM-DD"),
    "months": (["2020-01", "2020-02"], "YYYY-MM-01"),
    "half days": (["1:30 PM", "9 AM"], "00:00 to 23:59"),
    "infinity": (["inf", "1", "2"], "infinite"),
    "no date at first": (["n.d.", *[f"2020-01-{k:02}" for k in range(1, 20)]], "'n.d.' on line 2"),
    "codes": ([f"{k}_{k % 7}" for k in range(30)], "look like numbers"),
    "a slip": ([*map(str, range(20)), "1O"], "'1O' on line 22"),
    "another unit": ([*[f"{k} kg" for k in range(20)], "5 lb"], "'5 lb' on line 22"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_content_is_refused(case: str) -> None:
    texts, message = AMBIGUOUS[case]
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
        # Python and NumPy parse these as numbers.
        ("nan", "inf"),
        ("0x10", "0x11"),
        ("1_000", "2_000"),
        ("second class", "1st class"),
        ("18-24", "25-34", "35-44"),
        ("<1", "1", "2", "3+"),
    ],
)
def test_texts_of_names_are_not_numbers(texts: tuple[str, ...]) -> None:
    assert find_format(column(*texts)) is None


@pytest.mark.parametrize(
    "texts",
    [
        ("1700000000000000123", "1700000000000000124"),
        ("1152921504606846976.0", "1152921504606846977.0"),
        ("1.00000000000000000001", "1.00000000000000000002"),
        ("1e-400", "2e-400"),
    ],
)
def test_numbers_that_float64_cannot_tell_apart_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=f"'x' has numbers from {texts[0]!r} to {texts[1]!r}"):
        check_exactness(column(*texts), NumberFormat())
    assert values(*texts) is not None  # prediction accepts them, training does not


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=9), st.integers(-300, 290))
def test_numbers_that_float64_can_tell_apart_are_accepted(given: list[float], power: int) -> None:
    check_exactness(
        column(
            *[
                f"{number!r}e{power}".replace("e+", "e")
                for number in given
                if "e" not in repr(number)  # a text can't have two exponents
            ]
            or ["1"]
        ),
        NumberFormat(),
    )


def test_large_numbers_with_a_large_spread_are_accepted() -> None:
    # Rounding changes the last digit, but not noticeably their differences.
    texts = column("1700000000000000000", "1800000000000000001", "", "0")
    check_exactness(texts, NumberFormat())
    check_exactness(column("5", "5"), NumberFormat())
    check_exactness(column("1e308", "-1e308"), NumberFormat())
    check_exactness(
        column("$1,700,000,000,000", "$1,700,000,000,001"), NumberFormat(thousands=",", prefix="$")
    )


def test_missing_values_are_nan() -> None:
    found = parse_numbers(column("1", "", "3"), NumberFormat())
    assert (found.iloc[0], math.isnan(found.iloc[1]), found.iloc[2]) == (1.0, True, 3.0)
    with pytest.raises(UserError, match="'x' has 'many' on line 3"):
        parse_numbers(column("1", "many", ""), NumberFormat())


def test_format_survives_json() -> None:
    how = NumberFormat("number", ",", ".", "$", "%")
    assert NumberFormat.from_mapping(json.loads(json.dumps(how.to_mapping()))) == how
    for key, value in {"kind": "word", "decimal": 1, "thousands": 3, "prefix": None}.items():
        with pytest.raises(ValueError, match="there is no number format"):
            NumberFormat.from_mapping({**how.to_mapping(), key: value})


@given(st.integers(-(10**25), 10**25))
def test_whole_numbers_have_a_canonical_form(number: int) -> None:
    # Exact for any size, so not by way of float.
    for text in (f"{number}", f"{number}.", f"{number}.0", f"{number:+}"):
        assert to_canonical(text) == str(number)


@pytest.mark.parametrize("text", ["007", "01", "00", "-01", "3.10", "0.50", "1e3", "1.01", "", "a"])
def test_leading_zeros_and_fractions_are_kept(text: str) -> None:
    assert to_canonical(text) == text


def test_zero_has_no_sign() -> None:
    assert to_canonical("-0") == to_canonical("+0.0") == "0"


@pytest.mark.parametrize(
    ("decimal", "thousands"), [(";", None), (".", "."), (",", ","), (".", "_"), (None, None)]
)
def test_invalid_options_are_reported(decimal: Any, thousands: Any) -> None:
    with pytest.raises(UserError, match=r"data\.(decimal|thousands)="):
        check_format_options(decimal, thousands)


def test_large_columns_are_parsed_at_once() -> None:
    given = np.random.default_rng(0).normal(size=1000)
    np.testing.assert_array_equal(parse_numbers(column(*map(str, given)), NumberFormat()), given)
