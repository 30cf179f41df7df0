"""Recognition of columns of numbers, and errors for columns that are ambiguous.

A wrong guess is worse than an error here: `1,234` read as 1.234 trains without any complaint.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expt.errors import UserError
from expt.parts.data.number_formats import (
    NumberFormat,
    quote_shortened,
    raise_first_mismatch,
    to_ascii,
)

if TYPE_CHECKING:
    import pandas as pd

_MOSTLY = 0.9
_FEW = 10  # up to this many distinct texts may look like numbers and yet be names
_SAMPLED = 50  # distinct texts that are looked at for a unit, a time or a date

_SYMBOLS = "$€£¥₹₩₽₺₫₴₦₱฿¢"
_CURRENCY = (
    rf"[A-Z]{{0,3}}[{_SYMBOLS}]|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|BRL|[kK]r\.?"
    r"|Rs\.?|Fr\.?"
)
_UNIT = re.compile(
    rf"[+-]?\s*(?P<prefix>{_CURRENCY})?\s*"
    r"(?P<number>[+-]?[\d.,' ]*\d(?:[eE][+-]?\d+)?)\s*"
    rf"(?P<suffix>[%‰°A-Za-zµμΩ²³/{_SYMBOLS}]{{1,12}})?",
    re.ASCII,
)
_DECIMAL_POINT = re.compile(
    r"[+-]?((0|\d{4,})?\.\d+|\d+\.(\d{0,2}|\d{4,}))([eE][+-]?\d+)?", re.ASCII
)
_MONTH = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|"
    r"oct(ober)?|nov(ember)?|dec(ember)?)"
)


@dataclass(frozen=True)
class _Ambiguous:
    """A kind of text that looks like a number but is ambiguous.

    Attributes:
        pattern: The pattern of such a text, without its unit.
        description: The message: the nature of these texts, and how to fix them.
        most_names: Up to this many distinct texts may be names.
        among_numbers: Whether one such text among plain numbers suffices for an error; otherwise
            most texts must match.
    """

    pattern: re.Pattern[str]
    description: str
    most_names: int = 0
    among_numbers: bool = False


def _numeric(pattern: str, description: str) -> _Ambiguous:
    return _Ambiguous(
        re.compile(pattern, re.ASCII | re.IGNORECASE), description, among_numbers=True
    )


def _other(pattern: str, description: str, most_names: int = 0) -> _Ambiguous:
    return _Ambiguous(re.compile(pattern, re.ASCII | re.IGNORECASE), description, most_names)


_DATES = "write them as YYYY-MM-DD"
# The first pattern that matches decides the message, so special cases come before general ones.
_AMBIGUOUS: Sequence[_Ambiguous] = (
    _other(r"[<>≤≥~≈]=?\s*[+-]?[\d.,]+", "bounds, whose values are not known"),
    _numeric(r"\([^\w\s]?\s*[\d.,]+\s*\)", "numbers in parentheses; write negative ones as -1"),
    _numeric(r"[+-]?(inf|infinity|∞)", "infinite values; expected finite numbers"),
    _other(
        r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(\s.*)?",
        f"dates with an ambiguous order of day and month; {_DATES}",
    ),
    _other(r"\d{4}\.\d{1,2}\.\d{1,2}(\s.*)?", f"dates; {_DATES}"),
    _other(rf"(\d{{1,2}}\.?[ -]?)?{_MONTH}\.?[ -]\d{{1,4}}(,? ?\d{{2,4}})?", f"dates; {_DATES}"),
    _other(r"\d{4}-(0[1-9]|1[0-2])", "months or ranges; write months as YYYY-MM-01"),
    _other(r"\d{1,2}(:\d{2}){0,2} ?[ap]\.?m\.?", "12-hour times; write them as 00:00 to 23:59"),
    _other(r"[+-]?\d+\s*[-/]\s*\d+", "ranges or fractions", _FEW),
    _numeric(
        r"[+-]?\d{1,3}(,\d{3})",
        "numbers whose comma may be a decimal or a thousands separator; choose "
        "data.decimal=',' or data.thousands=','",
    ),
    _numeric(r"[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?", "thousands with commas: data.thousands=','"),
    _numeric(r"[+-]?\d*,\d+(e[+-]?\d+)?", "numbers with a decimal comma: data.decimal=','"),
    _numeric(
        r"[+-]?\d{1,3}\.\d{3}",
        "numbers whose point may be a decimal or a thousands separator; choose "
        "data.decimal='.' or data.thousands='.'",
    ),
    _numeric(
        r"[+-]?\d{1,3}(\.\d{3})+,\d*|[+-]?\d{1,3}(\.\d{3}){2,}",
        "thousands with points: data.decimal=',' data.thousands='.'",
    ),
    _numeric(r"[+-]?\d{1,3}( \d{3})+([.,]\d*)?", "thousands with spaces: data.thousands=' '"),
    _numeric(r"[+-]?\d{1,3}('\d{3})+([.,]\d*)?", 'thousands with apostrophes: data.thousands="\'"'),
)


def find_format(
    texts: "pd.Series[str]", decimal: str = ".", thousands: str | None = None
) -> NumberFormat | None:
    """Finds the number format of a column; returns None if its texts are names.

    Args:
        texts: The column; the empty text is a missing value.
        decimal: The decimal separator in the config.
        thousands: The thousands separator in the config; None if there is none.

    Raises:
        UserError: If most texts are numbers but some are not, or the texts are ambiguous.
    """
    plain = NumberFormat(decimal=decimal, thousands=thousands)
    if not np.isnan(plain.parse(texts[texts != ""])).any():
        return plain
    unique = np.asarray(texts[texts != ""].unique(), object).tolist()
    shares = {}
    for candidate in _candidates(unique, decimal, thousands):
        shares[candidate] = _share(unique, candidate)
        if shares[candidate] == 1:
            return candidate
    # Nearly all are numbers: the others are probably typos, not names.
    best = max(shares, key=shares.__getitem__)
    if shares[best] >= _MOSTLY:
        wrong = [text for text in unique if math.isnan(best.value(text))]
        _refuse_ambiguous(texts, wrong, best)
        raise_first_mismatch(texts, best)
    _refuse_ambiguous(texts, unique, plain)
    _refuse_like_numbers(texts, unique)
    return None


def _candidates(
    unique: Sequence[str], decimal: str, thousands: str | None
) -> Iterable[NumberFormat]:
    """Yields candidate formats, the plainest first."""
    yield NumberFormat(decimal=decimal, thousands=thousands)
    # The columns of a file may use different conventions.
    if decimal == "," and thousands != "." and _has_plain_points(unique):
        yield NumberFormat()
    if unit := _unit_of(unique):
        yield NumberFormat("number", decimal, thousands, *unit)
    for kind in ("time", "date"):
        how = NumberFormat(kind)
        if not all(math.isnan(how.value(text)) for text in unique[:_SAMPLED]):
            yield how


def _unit_of(unique: Sequence[str]) -> tuple[str, str] | None:
    """Returns the prefix and suffix that most texts share, or None."""
    matches = [_UNIT.fullmatch(to_ascii(text)) for text in unique[:_SAMPLED]]
    units = Counter((m["prefix"] or "", m["suffix"] or "") for m in matches if m is not None)
    unit, count = units.most_common(1)[0] if units else (("", ""), 0)
    return unit if any(unit) and count >= _MOSTLY * len(matches) else None


def _has_plain_points(unique: Sequence[str]) -> bool:
    """Whether points are decimal points although the config has `data.decimal=,`.

    A thousands separator has three digits after it, and one to three, not 0, before it.
    """
    return any(_DECIMAL_POINT.fullmatch(text) for text in unique)


def _share(unique: Sequence[str], how: NumberFormat) -> float:
    return sum(not math.isnan(how.value(text)) for text in unique) / len(unique)


def _refuse_ambiguous(texts: "pd.Series[str]", unique: Sequence[str], plain: NumberFormat) -> None:
    """Raises an error if texts look like numbers but are ambiguous."""
    prefix, suffix = _unit_of(unique) or ("", "")
    bare = [to_ascii(text).removeprefix(prefix).removesuffix(suffix).strip() for text in unique]
    are_plain = np.array([not math.isnan(plain.value(text)) for text in unique])
    for ambiguous in _AMBIGUOUS:
        are_such = np.array([bool(ambiguous.pattern.fullmatch(text)) for text in bare])
        if len(unique) <= ambiguous.most_names or not are_such.any():
            continue
        # A few texts such as `<1`, `1` and `2` may be names of groups.
        is_mixed = ambiguous.among_numbers or len(unique) > _FEW
        if (are_such | (are_plain & is_mixed)).mean() >= _MOSTLY:
            example = unique[int(are_such.argmax())]
            raise UserError(
                f"{texts.name!r} has texts such as {quote_shortened(example)} on line "
                f"{texts.index[texts == example][0]}: {ambiguous.description}."
            )


def _refuse_like_numbers(texts: "pd.Series[str]", unique: Sequence[str]) -> None:
    # The last resort, for formats that no pattern above describes.
    if len(unique) <= _FEW:
        return
    are_like = [bool(re.match(r"[^\w\s]{0,2}\s*\d", text)) for text in unique]
    if sum(are_like) >= _MOSTLY * len(unique):
        raise UserError(
            f"{texts.name!r} has {len(unique)} different texts such as "
            f"{quote_shortened(unique[0])} and "
            f"{quote_shortened(unique[-1])}, which look like numbers but can't be parsed."
        )
