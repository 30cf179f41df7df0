"""Formatting of numbers and times for all commands, charts and reports."""

import math
from decimal import Decimal

_DIGITS = 4
_PLAIN = range(-6, 15)  # powers of ten of numbers without an exponent

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def format_value(value: float) -> str:
    """Returns a number with four significant digits, such as `0.9722`, `81,102` or `0.00004`.

    Thousands are separated, all digits before the decimal point are kept, and trailing zeros of a
    fraction are removed. Numbers below 10^-6 and from 10^15 on have an exponent: `2.64e-13`.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    # Decimal rounds correctly at any size, where the `g` format would switch to an exponent.
    exact = Decimal(float(value))  # Decimal does not accept NumPy's float32
    if exact == 0:
        return "0"
    rounded = Decimal(f"{exact:.{_DIGITS - 1}e}")
    if rounded.adjusted() not in _PLAIN:
        mantissa, _, exponent = f"{rounded:e}".partition("e")
        return f"{_without_zeros(mantissa)}e{int(exponent)}"
    decimals = _DIGITS - 1 - rounded.adjusted()
    return f"{exact:,.0f}" if decimals <= 0 else _without_zeros(f"{rounded:,.{decimals}f}")


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_seconds(seconds: float) -> str:
    """Returns a duration such as `0.8 s`, `42 s`, `2 min 5 s`, `3 h 20 min` or `2 d 4 h`."""
    if seconds < 9.95:  # else it would be rounded to `10.0 s`
        return f"{seconds:.1f} s"
    for name, size, smaller, unit in _UNITS:
        # Rounded before it is compared, so that 3,599.7 s become `1 h` and not `60 min`.
        if round(seconds / unit) * unit >= size:
            whole, rest = divmod(round(seconds / unit) * unit, size)
            return f"{whole} {name}" + (f" {rest // unit} {smaller}" if rest else "")
    return f"{round(seconds)} s"
