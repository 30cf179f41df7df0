"""Number formats of text columns: plain numbers, numbers with units, dates and times."""

import datetime
import decimal as decimals
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DECIMALS, THOUSANDS = (".", ","), (None, ",", ".", " ", "'")

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"([+-]?)(0|[1-9]\d*)(\.0*)?", re.ASCII)
_TIME = re.compile(r"([+-]?)(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?", re.ASCII)
_DATE = re.compile(
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Unicode's alternatives to ASCII: minus signs, spaces, apostrophes, East Asian full-width forms.
_TO_ASCII = {
    **dict.fromkeys(map(ord, "−–"), "-"),
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " "),
    **dict.fromkeys(map(ord, "’ʼ"), "'"),
}
_RESOLUTION = 0.01  # the largest rounding error that is tolerated, as a share of the spread
_DIGITS = 60  # significant digits of the exact arithmetic


@dataclass(frozen=True)
class NumberFormat:
    """The format in which a column's texts are numbers.

    Attributes:
        kind: `number`; `time`, such as `12:30` or `12:30:15`, parsed as seconds; or `date`, such as
            `2020-01-31` or `2020-01-31 12:30`, parsed as days since 1970-01-01 00:00 UTC.
        decimal: The decimal separator of numbers.
        thousands: The thousands separator of numbers; None if there is none.
        prefix: The unit before each number, such as `$`.
        suffix: The unit after each number, such as `%`.
    """

    kind: str = "number"
    decimal: str = "."
    thousands: str | None = None
    prefix: str = ""
    suffix: str = ""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Restores a format from the mapping that `to_mapping` returned.

        Raises:
            ValueError: If a value is invalid.
            KeyError: If a value is missing.
        """
        made = cls(**{field.name: mapping[field.name] for field in fields(cls)})
        is_right = made.kind in _PARSERS and made.decimal in DECIMALS
        are_texts = isinstance(made.prefix, str) and isinstance(made.suffix, str)
        if not is_right or made.thousands not in THOUSANDS or not are_texts:
            raise ValueError(f"there is no number format {dict(mapping)}")
        return made

    def to_mapping(self) -> dict[str, Any]:
        """Returns the format in JSON-compatible values."""
        return asdict(self)

    def describe(self) -> str:
        """Describes the format for messages; empty for plain numbers."""
        if self.kind == "date":
            return "dates, as days since 1970-01-01 UTC"
        if self.kind == "time":
            return "times, as 3600 a + 60 b + c for a:b:c (a:b is a:b:00)"
        if self.prefix or self.suffix:
            return f"numbers in {(self.prefix + ' ' + self.suffix).strip()}"
        return ""

    def parse(self, texts: "pd.Series[str]") -> NDArray[np.float64]:
        """Parses texts to float64, shape [rows]; NaN for texts that are empty or don't match.

        Numbers are rounded to the nearest float64, as by Python's `float`.
        """
        # Whole columns of plain numbers are by far the most frequent, so they have a fast path.
        if self == NumberFormat():
            plain = _parse_plain(texts)
            if plain is not None:
                return plain
        known = {text: self.value(text) for text in texts.unique()}
        return texts.map(known).to_numpy(np.float64)

    def value(self, text: str) -> float:
        """Parses one text; returns NaN if it is empty or doesn't match."""
        # Overflows, such as 1e999, count as unreadable too.
        number = _PARSERS[self.kind](self, text) if text else math.nan
        return number if math.isfinite(number) else math.nan

    def bare(self, text: str) -> str | None:
        """Strips unit and thousands separators and writes a decimal point; None if not a number."""
        text, sign = to_ascii(text), ""
        if self.prefix:
            if text[:1] in "+-":  # -$5
                sign, text = text[:1], text[1:].lstrip()
            if not text.startswith(self.prefix):
                return None
            text = text.removeprefix(self.prefix).lstrip()
        if self.suffix:
            if not text.endswith(self.suffix):
                return None
            text = text.removesuffix(self.suffix).rstrip()
        text = sign + text
        if self.thousands is not None and self.thousands in text:
            if not self._has_groups(text):
                return None
            text = text.replace(self.thousands, "")
        if self.decimal != ".":
            # With a decimal comma, a point that is not between thousands is a mistake.
            if "." in text:
                return None
            text = text.replace(self.decimal, ".")
        return text if _PLAIN.fullmatch(text) else None

    def _has_groups(self, text: str) -> bool:
        """Whether thousands separators are in valid places.

        The last group has three digits. Others may have two, as in India.
        """
        group, point = re.escape(self.thousands or ""), re.escape(self.decimal)
        whole = rf"[+-]?\d{{1,3}}({group}\d{{2,3}})*{group}\d{{3}}"
        return bool(re.fullmatch(rf"{whole}({point}\d*)?", text, re.ASCII))

    def _number(self, text: str) -> float:
        bare = self.bare(text)
        return math.nan if bare is None else float(bare)

    def _seconds(self, text: str) -> float:
        match = _TIME.fullmatch(text)
        if match is None:
            return math.nan
        sign, first, second, third = match.groups()
        total = 3600 * int(first) + 60 * int(second) + float(third or 0)
        return -total if sign == "-" else total

    def _days(self, text: str) -> float:
        if not _DATE.fullmatch(text):
            return math.nan
        try:
            moment = datetime.datetime.fromisoformat(_iso(text))
        except ValueError:
            return math.nan
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return (moment - _EPOCH) / datetime.timedelta(days=1)


# After the class: the values are its methods.
_PARSERS: Mapping[str, Callable[[NumberFormat, str], float]] = {
    "number": NumberFormat._number,
    "time": NumberFormat._seconds,
    "date": NumberFormat._days,
}


def parse_numbers(texts: "pd.Series[str]", how: NumberFormat) -> "pd.Series[float]":
    """Parses a column of numbers; missing values become NaN.

    Raises:
        UserError: If a text is not a number; the message names its line.
    """
    import pandas as pd

    values = how.parse(texts)
    if (np.isnan(values) & (texts != "").to_numpy()).any():
        raise_first_mismatch(texts, how)
    return pd.Series(values, index=texts.index, name=texts.name)


def raise_first_mismatch(texts: "pd.Series[str]", how: NumberFormat) -> None:
    """Raises an error about the first text that doesn't match a format.

    Raises:
        UserError: Always; at least one text must not match.
    """
    wrong = np.isnan(how.parse(texts)) & (texts != "").to_numpy()
    expected = how.describe() or "numbers"
    place = f"{texts.index.name or 'line'} {texts.index[wrong][0]}"
    raise UserError(
        f"{texts.name!r} has "
        f"{quote_shortened(texts[wrong].iloc[0])} on {place}, where {expected} are "
        f"expected ({int(wrong.sum())} such value(s) of {len(texts)})."
    )


def check_exactness(texts: "pd.Series[str]", how: NumberFormat) -> None:
    """Refuses numbers that float64 can't tell apart, such as 2^60 and 2^60 + 1.

    Only for training: a model can't learn from such differences. The few rows of a prediction may
    well be close to one another.

    Raises:
        UserError: If rounding to float64 changes the differences of the numbers.
    """
    present = how.parse(texts[texts != ""])
    if how.kind != "number" or not present.size:
        return
    spread = present.max() / 2 - present.min() / 2  # halves, since the difference may overflow
    # A cheap test that nearly all columns pass; exact arithmetic is slow.
    if np.spacing(np.abs(present).max()) < _RESOLUTION / 10 * spread:
        return
    different = [text for text in texts.unique() if text]
    with decimals.localcontext() as context:
        context.prec, context.Emax, context.Emin = _DIGITS, decimals.MAX_EMAX, decimals.MIN_EMIN
        exact = [decimals.Decimal(how.bare(text) or 0) for text in different]
        reach = max(exact) - min(exact)
        shifts = [number - exact[0] for number in exact]
        rounded = [decimals.Decimal(how.value(text)) for text in different]
        lost = max(abs(r - rounded[0] - s) for r, s in zip(rounded, shifts, strict=True))
        is_lost = lost > decimals.Decimal(_RESOLUTION) * reach
    if is_lost:
        named = " to ".join(quote_shortened(different[exact.index(f(exact))]) for f in (min, max))
        raise UserError(
            f"{texts.name!r} has numbers from {named}, whose differences are lost in float64; "
            "subtract a constant from them or change their unit."
        )


def check_format_options(decimal: object, thousands: object) -> None:
    """Checks the options `data.decimal` and `data.thousands`.

    Raises:
        UserError: If a separator is not supported, or both are the same.
    """
    if decimal not in DECIMALS:
        raise UserError(f"data.decimal={decimal!r}: expected '.' or ','.")
    if thousands not in THOUSANDS or thousands == decimal:
        others = ", ".join(repr(s) for s in THOUSANDS[1:] if s != decimal)
        raise UserError(f"data.thousands={thousands!r}: expected one of {others}, or null.")


def to_canonical(text: str) -> str:
    """Returns the canonical form of a whole number, `1` for `1.0`; other texts are unchanged.

    Numbers with leading zeros, such as `007`, are names. Fractions may be versions: `3.1` is not
    `3.10`.
    """
    # pandas writes whole numbers as 1.0 once a column has had a missing value.
    match = _WHOLE.fullmatch(text)
    if match is None:
        return text
    return match[2] if match[1] != "-" or match[2] == "0" else f"-{match[2]}"


def to_ascii(text: str) -> str:
    """Replaces the digits, signs and spaces of other scripts by ASCII characters."""
    if text.isascii():
        return text
    text = text.translate(_TO_ASCII)
    return "".join(str(int(c)) if c.isdecimal() else c for c in text)


def quote_shortened(text: str) -> str:
    """Quotes a text for a message, shortened to 40 characters."""
    return repr(text if len(text) <= 40 else f"{text[:37]}…")


def _parse_plain(texts: "pd.Series[str]") -> NDArray[np.float64] | None:
    """Parses a column of plain numbers at once; returns None if it has any other text."""
    values = texts.to_numpy(object)
    # NumPy alone would accept more than a number here, such as `1_000`, `inf` and `nan`.
    if re.search(r"[^0-9.eE+\-]", "".join(values)):
        return None
    try:
        parsed = np.where(values == "", "nan", values).astype(np.float64)
    except ValueError:
        return None
    parsed[~np.isfinite(parsed)] = np.nan
    return parsed


def _iso(text: str) -> str:
    """Pads the months, days and hours of a date to two digits, as `fromisoformat` requires."""
    date, mark, time = re.match(r"([^T ]*)([T ]?)(.*)", text).groups()  # type: ignore[union-attr]
    year, month, day = re.split("[-/]", date)
    time = time.replace(" ", "").replace("UTC", "Z")
    time = time if not mark or time[1:2].isdigit() else f"0{time}"
    return f"{year}-{month:0>2}-{day:0>2}{mark}{time}"
