"""How columns of text mean numbers: plain ones, with units, dates, times."""

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
# What Unicode has beside ASCII for the same: minus signs, spaces, the full width of East Asia.
_TO_ASCII = {
    **dict.fromkeys(map(ord, "−–"), "-"),
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " "),
    **dict.fromkeys(map(ord, "’ʼ"), "'"),
}
_RESOLUTION = 0.01  # of the spread: rounding by more changes the values
_DIGITS = 60


@dataclass(frozen=True)
class NumberFormat:
    """How a column's texts mean numbers.

    Attributes:
        kind: `number`; `time`, as `12:30` or `12:30:15`, read as seconds; or `date`, as
            `2020-01-31` or `2020-01-31 12:30`, read as days since 1970-01-01 00:00 UTC.
        decimal: The decimal separator of numbers.
        thousands: What is between thousands of numbers; None is nothing.
        prefix: What is before each number, such as `$`.
        suffix: What is behind each number, such as `%`.
    """

    kind: str = "number"
    decimal: str = "."
    thousands: str | None = None
    prefix: str = ""
    suffix: str = ""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Makes the format of which these are the plain values.

        Raises:
            ValueError: They are not such values.
        """
        made = cls(**{field.name: mapping[field.name] for field in fields(cls)})
        is_right = made.kind in _PARSERS and made.decimal in DECIMALS
        are_texts = isinstance(made.prefix, str) and isinstance(made.suffix, str)
        if not is_right or made.thousands not in THOUSANDS or not are_texts:
            raise ValueError(f"there is no number format {dict(mapping)}")
        return made

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values, which JSON can hold."""
        return asdict(self)

    def describe(self) -> str:
        """Says how texts are read, where that is not plain; else empty."""
        if self.kind == "date":
            return "dates, as days since 1970-01-01 UTC"
        if self.kind == "time":
            return "times, as 3600 a + 60 b + c for a:b:c (a:b is a:b:00)"
        if self.prefix or self.suffix:
            return f"numbers in {(self.prefix + ' ' + self.suffix).strip()}"
        return ""

    def parse(self, texts: "pd.Series[str]") -> NDArray[np.float64]:
        """Returns the numbers, NaN where a text is none or is empty, shape [rows].

        They are the nearest in float64: the same that Python gives for the texts.
        """
        if self == NumberFormat():
            plain = _parse_plain(texts)
            if plain is not None:
                return plain
        known = {text: self.value(text) for text in texts.unique()}
        return texts.map(known).to_numpy(np.float64)

    def value(self, text: str) -> float:
        """Returns one number, NaN if the text is none or is empty."""
        number = _PARSERS[self.kind](self, text) if text else math.nan
        return number if math.isfinite(number) else math.nan

    def bare(self, text: str) -> str | None:
        """Returns a number without unit and thousands, with a decimal point; None if it is none."""
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
            if "." in text:
                return None
            text = text.replace(self.decimal, ".")
        return text if _PLAIN.fullmatch(text) else None

    def _has_groups(self, text: str) -> bool:
        """Whether thousands are where they belong; India groups by two digits before them."""
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


_PARSERS: Mapping[str, Callable[[NumberFormat, str], float]] = {
    "number": NumberFormat._number,
    "time": NumberFormat._seconds,
    "date": NumberFormat._days,
}


def numbers(texts: "pd.Series[str]", how: NumberFormat) -> "pd.Series[float]":
    """Returns a column's numbers, NaN where the text is empty.

    Raises:
        UserError: A text is no number; the message names its line.
    """
    import pandas as pd

    values = how.parse(texts)
    if (np.isnan(values) & (texts != "").to_numpy()).any():
        refuse_first(texts, how)
    return pd.Series(values, index=texts.index, name=texts.name)


def refuse_first(texts: "pd.Series[str]", how: NumberFormat) -> None:
    """Raises an error on the first text that is not of a format."""
    wrong = np.isnan(how.parse(texts)) & (texts != "").to_numpy()
    expected = how.describe() or "numbers"
    place = f"{texts.index.name or 'line'} {texts.index[wrong][0]}"
    raise UserError(
        f"{texts.name!r} has {shortened(texts[wrong].iloc[0])} on {place}, where {expected} are "
        f"expected ({int(wrong.sum())} such value(s) of {len(texts)})."
    )


def check_exactness(texts: "pd.Series[str]", how: NumberFormat) -> None:
    """Refuses numbers that differ by less than float64 resolves, such as 2^60 and 2^60 + 1.

    It is a question of what a model can learn: the few rows of a prediction may differ by little.

    Raises:
        UserError: Rounding to float64 changes their differences.
    """
    present = how.parse(texts[texts != ""])
    if how.kind != "number" or not present.size:
        return
    spread = present.max() / 2 - present.min() / 2  # halves, so that nothing overflows
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
        named = " to ".join(shortened(different[exact.index(f(exact))]) for f in (min, max))
        raise UserError(
            f"{texts.name!r} has numbers from {named}, of which float64 loses the differences; "
            "subtract a constant from them or give them another unit."
        )


def check_format_options(decimal: object, thousands: object) -> None:
    """Checks what the config says of numbers.

    Raises:
        UserError: A separator is not one of those that are read, or both are the same.
    """
    if decimal not in DECIMALS:
        raise UserError(f"data.decimal={decimal!r}: expected '.' or ','.")
    if thousands not in THOUSANDS or thousands == decimal:
        others = ", ".join(repr(s) for s in THOUSANDS[1:] if s != decimal)
        raise UserError(f"data.thousands={thousands!r}: expected one of {others}, or null.")


def canonical(text: str) -> str:
    """Returns the one way to write a whole number, `1` for `1.0`; other texts stay.

    Leading zeros make a name, such as `007`; fractions may be versions, such as `3.1` and `3.10`.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        return text
    return match[2] if match[1] != "-" or match[2] == "0" else f"-{match[2]}"


def to_ascii(text: str) -> str:
    """Writes digits, signs and spaces as ASCII does, whatever the script."""
    if text.isascii():
        return text
    text = text.translate(_TO_ASCII)
    return "".join(str(int(c)) if c.isdecimal() else c for c in text)


def shortened(text: str) -> str:
    """Quotes a text, of which much may be left out."""
    return repr(text if len(text) <= 40 else f"{text[:37]}…")


def _parse_plain(texts: "pd.Series[str]") -> NDArray[np.float64] | None:
    """Parses a whole column at once; None if it is not all plain numbers."""
    values = texts.to_numpy(object)
    if re.search(r"[^0-9.eE+\-]", "".join(values)):
        return None
    try:
        parsed = np.where(values == "", "nan", values).astype(np.float64)
    except ValueError:
        return None
    parsed[~np.isfinite(parsed)] = np.nan
    return parsed


def _iso(text: str) -> str:
    """Writes a date's months, days and hours with two digits, as Python expects."""
    date, mark, time = re.match(r"([^T ]*)([T ]?)(.*)", text).groups()  # type: ignore[union-attr]
    year, month, day = re.split("[-/]", date)
    time = time.replace(" ", "").replace("UTC", "Z")
    time = time if not mark or time[1:2].isdigit() else f"0{time}"
    return f"{year}-{month:0>2}-{day:0>2}{mark}{time}"
