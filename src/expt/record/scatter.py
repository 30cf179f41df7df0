"""Scatter plots of predicted against true values, drawn with NumPy and Pillow."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from expt.record.drawn_text import BLACK, BLUE, GRAY, fitted, font, one_line, upright, width_of

_MOST_PANELS, _SIDE = 25, 5
_SIZES = (400, 300, 300, 200, 200)  # side of a panel in pixels, by the number of columns
_LINE, _GAP, _DOT = 18, 6, 3  # pixels: the height of a line, a gap, and the radius of a point
_LONGEST = 9  # digits before the decimal point; longer numbers have an exponent

_Panel = NDArray[np.uint8]


def predicted_against_true(
    targets: NDArray[np.floating[Any]],
    outputs: NDArray[np.floating[Any]],
    names: Sequence[str] = (),
) -> _Panel:
    """Draws predictions (vertical axis) against true values, with the line where they are equal.

    Each value has a separate panel, since values may differ in unit and scale. There are at most
    25 panels, up to five per row.

    Args:
        targets: The true values, shape [examples, values].
        outputs: The predictions, shape [examples, values]. Those that are not finite are not
            drawn but counted in the panel.
        names: The titles of the panels, one per value; empty if the values have no names.

    Returns:
        The pixels: uint8, shape [height, width, 3].
    """
    # In float64, since float32 would round the axes of large values with a small spread.
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
        # Right-aligned, since labels of different widths would shift the axes within a column.
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
    # In a large split most points share a pixel, which is drawn only once.
    for point in np.unique(np.rint(points), axis=1).T:
        draw.circle(tuple(point), _DOT, fill=BLUE)
    if not is_finite.all():
        text = f"{(~is_finite).sum():,} not finite"
        draw.text((left + _GAP, top + _GAP), text, fill=BLACK, font=font())
    return np.asarray(canvas)


def _range(*groups: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the limits of both axes: the range of all values and 5 % more on either side."""
    values = np.concatenate(groups)
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low)
    # Equal or nearly equal values: float64 could not divide their span into ticks.
    if room <= 1e-12 * max(abs(low), abs(high)):
        room = 0.05 * abs(low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, size: int) -> tuple[NDArray[np.float64], list[str]]:
    """Returns round values for ticks and their labels, as many as do not overlap."""
    for most in range(6, 2, -1):
        # Integers first: repeatedly adding a step like 0.1 would accumulate rounding errors.
        step = _round_step((high - low) / most)
        numbers = np.arange(math.ceil(low / step), math.floor(high / step) + 1)
        ticks = numbers.astype(np.float64) * step
        labels = [_label(value, step) for value in ticks]
        if max(map(width_of, labels)) + 2 * _GAP <= size * step / (high - low):
            break
    return ticks, labels


def _round_step(least: float) -> float:
    """Returns the smallest number of at least `least` that is 1, 2 or 5 times a power of ten."""
    # The tolerance keeps a rounding error from doubling the step.
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _label(value: float, step: float) -> str:
    """Returns the label of a tick, with the digits that distinguish it from the next tick."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(value) < step / 2:
        return "0"
    if decimals <= 4 and abs(value) < 10**_LONGEST:
        return f"{value:,.{decimals}f}"
    digits = max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step) + 1e-9))
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
