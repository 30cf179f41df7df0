"""How numbers are shown to people; every command, chart and report uses this."""

import math
from decimal import Decimal

_DIGITS = 4
_PLAIN = range(-6, 15)  # exponents of ten that are written out

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def format_value(value: float) -> str:
    """Returns a number with four significant digits, as people write it.

    `0.9722`, `81,102`, `0.00004`: thousands are separated, digits before the point are all there,
    and zeros at the end of a fraction are left out. Numbers below 10^-6 and from 10^15 on have an
    exponent: `2.64e-13`.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    exact = Decimal(float(value))  # NumPy has numbers that Decimal refuses
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
    """Returns a time as people write it: `0.8 s`, `42 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for name, size, smaller, unit in _UNITS:
        if round(seconds / unit) * unit >= size:
            whole, rest = divmod(round(seconds / unit) * unit, size)
            return f"{whole} {name}" + (f" {rest // unit} {smaller}" if rest else "")
    return f"{round(seconds)} s"
