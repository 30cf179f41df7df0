import math

import pytest

from expt.record.values import format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (0.98765, "0.9877"),
        (-0.5, "-0.5000"),
        (123456.789, "123456.7890"),
        (2.64e-13, "2.640e-13"),
        (-0.0001, "-1.000e-04"),
        (1.7e12, "1.700e+12"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_small_values_do_not_look_like_zero(value: float, text: str) -> None:
    assert format_value(value) == text
