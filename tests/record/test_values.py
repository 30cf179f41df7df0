import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.record.values import format_seconds, format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (0.97222, "0.9722"),
        (0.9, "0.9"),
        (np.float32(0.9), "0.9"),
        (1 / 3, "0.3333"),
        (-0.5, "-0.5"),
        (0.99996, "1"),
        (123.456, "123.5"),
        (999.96, "1,000"),
        (1000, "1,000"),
        (81102, "81,102"),
        (-81102.4, "-81,102"),
        (123456.789, "123,457"),
        (1_700_000_000_000, "1,700,000,000,000"),
        (9.9999e14, "1e15"),
        (1.23456e15, "1.235e15"),
        (1.797e308, "1.797e308"),
        (0.001, "0.001"),
        (0.06342, "0.06342"),
        (0.00004, "0.00004"),
        (4.1234e-5, "0.00004123"),
        (1e-6, "0.000001"),
        (9.99996e-7, "0.000001"),
        (-9e-7, "-9e-7"),
        (2.64e-13, "2.64e-13"),
        (5e-324, "4.941e-324"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_values_have_four_significant_digits(value: float, text: str) -> None:
    assert format_value(value) == text


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e300, 1e300))
def test_text_equals_the_value_to_four_digits(value: float) -> None:
    shown = float(format_value(value).replace(",", ""))
    assert math.isclose(shown, value, rel_tol=5.0001e-4, abs_tol=1e-322)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**14), 10**14))
def test_integers_keep_all_digits(value: int) -> None:
    assert format_value(value) == f"{value:,}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (65.2, "1 min 5 s"),
        (3599.7, "1 h"),
        (12_000, "3 h 20 min"),
        (86_399, "1 d"),
        (200_000, "2 d 8 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
