"""How columns of text mean numbers: plain ones, with units, dates, times; what is not certain."""

import datetime
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_UNIT = re.compile(
    r"(?P<prefix>[$€£¥]?)\s*(?P<number>[+\-−]?[\d.,' ]*\d)\s*(?P<suffix>[%‰°A-Za-zµΩ²³/]{1,8})?",
    re.ASCII,
)
_LEADING_ZEROS = re.compile(r"0\d", re.ASCII)
_TIME = re.compile(r"([+-]?)(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?", re.ASCII)
_DATE = re.compile(
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UNICODE_MINUS = str.maketrans({"−": "-", "–": "-"})
_MOSTLY = 0.9
_FEW = 10  # so many different texts may look like numbers and be names

DECIMALS, THOUSANDS = (".", ","), (None, ",", ".", " ", "'")

# What else looks like a number, and what can be done about it.
_UNREADABLE: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"[<>≤≥~≈]\s*[+-]?[\d.,]+"), "bounds, whose values are not known"),
    (re.compile(r"\(\s*[\d.,]+\s*\)"), "numbers in parentheses; write negative ones with a minus"),
    (
        re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*"),
        "dates of which the day and the month are not certain; write them as YYYY-MM-DD",
    ),
    (re.compile(r"[+-]?\d+\s*[-–/]\s*\d+"), "ranges or fractions"),
    (
        re.compile(r"[+-]?\d{1,3}(,\d{3})+"),
        "numbers of which the comma may be a decimal one or one of thousands; say which: "
        "data.decimal=',' or data.thousands=','",
    ),
    (re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?"), "numbers with a decimal comma: data.decimal=','"),
    (
        re.compile(r"[+-]?\d{1,3}(,\d{3})*\.\d*"),
        "numbers with commas between thousands: data.thousands=','",
    ),
    (
        re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d*"),
        "numbers with a decimal comma: data.decimal=',' data.thousands='.'",
    ),
    (re.compile(r"[+-]?\d{1,3}( \d{3})+.*"), "numbers with spaces: data.thousands=' '"),
    (re.compile(r"[+-]?\d{1,3}('\d{3})+.*"), 'numbers with apostrophes: data.thousands="\'"'),
)


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
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "NumberFormat":
        """Makes the format of which these are the plain values."""
        return cls(**{field.name: mapping[field.name] for field in fields(cls)})

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
        unique = texts.unique()
        known = {text: self._value(text) for text in unique}
        return texts.map(known).to_numpy(np.float64)

    def _value(self, text: str) -> float:
        parse: Callable[[str], float] = {
            "number": self._number,
            "time": _seconds,
            "date": _days,
        }[self.kind]
        value = parse(text) if text else math.nan
        return value if math.isfinite(value) else math.nan

    def _number(self, text: str) -> float:
        bare = text.removeprefix(self.prefix)
        bare = (bare.removesuffix(self.suffix) if self.suffix else bare).strip()
        if len(bare) == len(text) and (self.prefix or self.suffix):
            return math.nan
        bare = bare.translate(_UNICODE_MINUS)
        if self.thousands is not None and self.thousands in bare:
            group = re.escape(self.thousands)
            whole = rf"[+-]?\d{{1,3}}({group}\d{{3}})+"
            if not re.fullmatch(rf"{whole}({re.escape(self.decimal)}\d*)?", bare, re.ASCII):
                return math.nan
            bare = bare.replace(self.thousands, "")
        if self.decimal != ".":
            if "." in bare:
                return math.nan
            bare = bare.replace(self.decimal, ".")
        return float(bare) if _PLAIN.fullmatch(bare) else math.nan


def find_format(
    texts: "pd.Series[str]", decimal: str = ".", thousands: str | None = None
) -> NumberFormat | None:
    """Returns the format in which a column's texts are numbers; None if they are names.

    Args:
        texts: The column; the empty text is a missing value.
        decimal: The decimal separator that the config names.
        thousands: What the config says is between thousands.

    Raises:
        UserError: Most texts are numbers and some are not, or they look like numbers in a way that
            is not certain.
    """
    unique = np.asarray(texts[texts != ""].unique(), object).tolist()
    shares = {}
    for candidate in _candidates(unique, decimal, thousands):
        shares[candidate] = _share(unique, candidate)
        if shares[candidate] == 1:
            return candidate
    best = max(shares, key=shares.__getitem__, default=None)
    if best is not None and shares[best] >= _MOSTLY:
        _refuse_uncertain(texts, [text for text in unique if math.isnan(best._value(text))])
        _refuse_first(texts, best)
    _refuse_uncertain(texts, unique)
    return None


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


def numbers(texts: "pd.Series[str]", how: NumberFormat) -> "pd.Series[float]":
    """Returns a column's numbers, NaN where the text is empty.

    Raises:
        UserError: A text is no number, or whole numbers are so large that float64 loses their
            differences; the message names a line.
    """
    import pandas as pd

    values = how.parse(texts)
    if (np.isnan(values) & (texts != "").to_numpy()).any():
        _refuse_first(texts, how)
    if np.nanmax(np.abs(values), initial=0) > 2**53:
        _check_whole_numbers(texts, values)
    return pd.Series(values, index=texts.index, name=texts.name)


def canonical(text: str) -> str:
    """Returns the one way to write a plain number, `1` for `1.0`; other texts stay.

    A text with leading zeros, such as `007`, is a name.
    """
    bare = text.lstrip("+-")
    if not _PLAIN.fullmatch(text) or _LEADING_ZEROS.match(bare):
        return text
    if bare.isdigit():  # whole numbers of any size
        return ("-" if text.startswith("-") else "") + bare if bare.strip("0") else "0"
    value = float(text)
    is_whole = math.isfinite(value) and value == int(value) and abs(value) < 2**53
    return str(int(value)) if is_whole else repr(value)


def is_canonical(text: str) -> bool:
    """Whether a text is a plain number, written as `canonical` writes it."""
    is_number = _PLAIN.fullmatch(text) and not _LEADING_ZEROS.match(text.lstrip("-"))
    return bool(is_number) and canonical(text) == text


def _candidates(
    unique: Sequence[str], decimal: str, thousands: str | None
) -> Iterable[NumberFormat]:
    """Yields the formats that a column may have, the plainest first."""
    yield NumberFormat(decimal=decimal, thousands=thousands)
    if decimal == "," and thousands != "." and _has_plain_points(unique):
        yield NumberFormat()
    matches = [_UNIT.fullmatch(text) for text in unique[:50]]
    units = Counter((m["prefix"], (m["suffix"] or "").strip()) for m in matches if m is not None)
    for (prefix, suffix), count in units.most_common(1):
        if not prefix + suffix or count < _MOSTLY * len(matches):
            continue
        yield NumberFormat(decimal=decimal, thousands=thousands, prefix=prefix, suffix=suffix)
    if unique and _TIME.fullmatch(unique[0]):
        yield NumberFormat("time")
    if unique and _DATE.fullmatch(unique[0]):
        yield NumberFormat("date")


def _has_plain_points(unique: Sequence[str]) -> bool:
    """Whether points are decimal ones in spite of `data.decimal=,`: not before three digits."""
    behind = [text.partition(".")[2] for text in unique if "." in text]
    return any(len(digits) != 3 for digits in behind)


def _share(unique: Sequence[str], how: NumberFormat) -> float:
    if not unique:
        return 1.0
    return sum(not math.isnan(how._value(text)) for text in unique) / len(unique)


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


def _refuse_first(texts: "pd.Series[str]", how: NumberFormat) -> None:
    wrong = np.isnan(how.parse(texts)) & (texts != "").to_numpy()
    expected = how.describe() or "numbers"
    raise UserError(
        f"{texts.name!r} has {_shortened(texts[wrong].iloc[0])} on line {texts.index[wrong][0]}, "
        f"where {expected} are expected ({int(wrong.sum())} such value(s) of {len(texts)})."
    )


def _refuse_uncertain(texts: "pd.Series[str]", unique: Sequence[str]) -> None:
    """Refuses texts that look like numbers and can't be read with certainty."""
    for pattern, what in _UNREADABLE:
        if unique and sum(map(bool, map(pattern.fullmatch, unique))) >= _MOSTLY * len(unique):
            raise UserError(f"{texts.name!r} has texts such as {_shortened(unique[0])}: {what}.")
    if len(unique) <= _FEW:
        return
    are_like = [bool(re.match(r"[^\w\s]{0,2}\s*\d", text)) for text in unique]
    if sum(are_like) >= _MOSTLY * len(unique):
        raise UserError(
            f"{texts.name!r} has {len(unique)} different texts such as {_shortened(unique[0])} and "
            f"{_shortened(unique[-1])}, which look like numbers and can't be read as such."
        )


def _check_whole_numbers(texts: "pd.Series[str]", values: NDArray[np.float64]) -> None:
    """Refuses whole numbers beyond 2^53 that differ by less than float64 resolves."""
    present = [text for text in texts if text]
    if not all(text.lstrip("+-").isdigit() for text in present):
        return
    exact = [int(text) for text in present]
    relative = np.array([number - exact[0] for number in exact], np.float64)
    rounded = values[~np.isnan(values)] - float(exact[0])
    if np.abs(relative - rounded).max() > 0.01 * (relative.std() or math.inf):
        raise UserError(
            f"{texts.name!r} has whole numbers up to {max(exact)}, of which float64 loses the "
            "differences; subtract a constant from them."
        )


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        return math.nan
    sign, first, second, third = match.groups()
    total = 3600 * int(first) + 60 * int(second) + float(third or 0)
    return -total if sign == "-" else total


def _days(text: str) -> float:
    if not _DATE.fullmatch(text):
        return math.nan
    try:
        moment = datetime.datetime.fromisoformat(_iso(text))
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) / datetime.timedelta(days=1)


def _iso(text: str) -> str:
    """Writes a date's months, days and hours with two digits, as Python expects."""
    date, mark, time = re.match(r"([^T ]*)([T ]?)(.*)", text).groups()  # type: ignore[union-attr]
    year, month, day = re.split("[-/]", date)
    time = time if not mark or time[1:2].isdigit() else f"0{time}"
    return f"{year}-{month:0>2}-{day:0>2}{mark}{time}"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}…")
