"""Predicted against true values, a panel for each target."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from expt.record.drawn_text import BLACK, BLUE, GRAY, fitted, font, one_line, upright, width_of

_MOST_PANELS, _SIDE = 25, 5
_SIZES = (400, 300, 300, 200, 200)  # of a panel, by the number of columns
_LINE, _GAP, _DOT = 18, 6, 3
_LONGEST = 9  # digits in front of the decimal point that are written in full

_Panel = NDArray[np.uint8]


def predicted_against_true(
    targets: NDArray[np.floating[Any]],
    outputs: NDArray[np.floating[Any]],
    names: Sequence[str] = (),
) -> _Panel:
    """Draws predictions (up) against true values (right); on the line they are equal.

    Each target has a panel with axes of its own, since targets differ in unit and size: up to 25
    of them, five a row.

    Args:
        targets: Shape [examples, values].
        outputs: Shape [examples, values]; what is not finite is left out and counted.
        names: Of the values, which become the titles of the panels; empty if they have none.
    """
    true, predicted = (np.asarray(array, np.float64) for array in (targets, outputs))
    shown = min(true.shape[1], _MOST_PANELS)
    num_columns = math.ceil(math.sqrt(shown))
    size = _SIZES[num_columns - 1]
    titles = [f"value {number}" for number in range(shown)] if shown > 1 else [""]
    if len(names) == true.shape[1]:
        titles = [one_line(name) for name in names]
    panels = [
        Image.fromarray(_panel(true[:, n], predicted[:, n], titles[n], size)) for n in range(shown)
    ]
    widths = [max(p.width for p in panels[n::num_columns]) for n in range(num_columns)]
    height = max(panel.height for panel in panels)
    num_rows = math.ceil(shown / num_columns)
    canvas = Image.new("RGB", (sum(widths), num_rows * height), "white")
    for number, panel in enumerate(panels):
        row, column = divmod(number, num_columns)
        # Right-aligned, so that the axes of a column are below each other.
        left = sum(widths[: column + 1]) - panel.width
        canvas.paste(panel, (left, row * height))
    return np.asarray(canvas)


def _panel(
    true: NDArray[np.float64], predicted: NDArray[np.float64], title: str, size: int
) -> _Panel:
    is_finite = np.isfinite(predicted)
    low, high = _range(true, predicted[is_finite])
    ticks, labels = _ticks(low, high, size)
    widest = max(map(width_of, labels))
    left, top = round(_LINE + widest + 2 * _GAP), _GAP + _LINE
    right, bottom = round(max(widest / 2, _GAP)) + _GAP, 2 * _LINE + 2 * _GAP
    canvas = Image.new("RGB", (left + size + right, top + size + bottom), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((left, 2), fitted(title, size), fill=BLACK, font=font())
    draw.rectangle((left, top, left + size, top + size), outline=GRAY)
    draw.line((left, top + size, left + size, top), fill=GRAY)

    def place(values: Any) -> Any:
        return (values - low) / (high - low) * size

    for tick, label in zip(place(ticks), labels, strict=True):
        x, y = left + tick, top + size - tick
        draw.line((x, top + size, x, top + size + 3), fill=GRAY)
        draw.line((left - 3, y, left, y), fill=GRAY)
        draw.text((x, top + size + _GAP), label, fill=BLACK, font=font(), anchor="mt")
        draw.text((left - _GAP, y), label, fill=BLACK, font=font(), anchor="rm")
    middle = top + size + _LINE + _GAP
    draw.text((left + size / 2, middle), "true", fill=GRAY, font=font(), anchor="mt")
    predicted_label = upright("predicted", GRAY)
    canvas.paste(predicted_label, (2, top + (size - predicted_label.height) // 2))
    points = np.stack([left + place(true[is_finite]), top + size - place(predicted[is_finite])])
    for point in np.unique(np.rint(points), axis=1).T:  # of a large split, most coincide
        draw.circle(tuple(point), _DOT, fill=BLUE)
    if not is_finite.all():
        text = f"{(~is_finite).sum():,} not finite"
        draw.text((left + _GAP, top + _GAP), text, fill=BLACK, font=font())
    return np.asarray(canvas)


def _range(*groups: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the ends of both axes: all values, and a little room around them."""
    values = np.concatenate(groups)
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low)
    # Without a span that float64 can divide, some of the value itself, or of 1.
    if room <= 1e-12 * max(abs(low), abs(high)):
        room = 0.05 * abs(low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, size: int) -> tuple[NDArray[np.float64], list[str]]:
    """Returns as many round values as have room for their labels, and the labels."""
    for most in range(6, 2, -1):
        step = _round_step((high - low) / most)
        numbers = np.arange(math.ceil(low / step), math.floor(high / step) + 1)
        ticks = numbers.astype(np.float64) * step
        labels = [_label(value, step) for value in ticks]
        if max(map(width_of, labels)) + 2 * _GAP <= size * step / (high - low):
            break
    return ticks, labels


def _round_step(least: float) -> float:
    """Returns the smallest of 1, 2 and 5 times a power of ten that is not below a number."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _label(value: float, step: float) -> str:
    """Returns a tick's text with as many digits as tell it from the next."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(value) < step / 2:
        return "0"
    if decimals <= 4 and abs(value) < 10**_LONGEST:
        return f"{value:,.{decimals}f}"
    digits = max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step) + 1e-9))
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
