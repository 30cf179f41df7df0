"""Conversion of recorded values to text and JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 40  # characters of a value in a table


def plain(text: str) -> str:
    """Replaces the unprintable characters in a recorded text."""
    # Escape sequences in a record from elsewhere could clear the terminal or hide lines.
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def as_text(value: Any) -> str:
    """Returns a value as it is typed on the command line: `true`, `null`, `0.001`, `[128,64]`."""
    if isinstance(value, str):
        return plain(value)
    # Twelve digits hide the rounding of values such as 0.1 + 0.2.
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.12g}"
    return plain(json.dumps(value, separators=(",", ":"), default=str))


def shortened(text: str) -> str:
    """Shortens a text so that it fits into a table."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def decimals(values: Sequence[float]) -> int:
    """Returns the number of decimals that shows the largest of some values with four digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest == 0:
        return 4
    return min(max(3 - math.floor(math.log10(largest)), 0), 8)


def bytes_text(count: float) -> str:
    """Returns a number of bytes as text, such as `812 MB`."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def to_json(value: Any) -> str:
    """Returns a value as JSON, with null for numbers that are not finite."""
    # NaN and Infinity are not part of JSON; json.dumps would write them all the same.
    return json.dumps(_finite(value), indent=2, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
