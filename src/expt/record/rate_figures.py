"""Figures of learning rates: the curve of a range test, and a schedule over the steps of a run."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from expt.record.figures import figure_to_pixels
from expt.record.values import format_value

_BLUE, _RED, _GRAY = "#1f5fa8", "#c0392b", "#a9b4c0"
_DOTS_PER_INCH = 110


def draw_range_test(
    rates: ArrayLike, losses: ArrayLike, smoothed: ArrayLike, suggestion: float | None
) -> NDArray[np.uint8]:
    """Draws the loss of a learning-rate range test over the rate, on a logarithmic axis.

    Args:
        rates: The learning rates, rising, shape [points].
        losses: The loss at each rate, shape [points].
        smoothed: The smoothed losses, shape [points].
        suggestion: The rate to mark; None for none.

    Returns:
        The pixels: uint8, shape [height, width, 3].
    """
    figure = Figure(figsize=(7.5, 4.5), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    line = np.asarray(smoothed, float)
    axes.plot(rates, losses, color=_GRAY, linewidth=1, label="loss")
    axes.plot(rates, line, color=_BLUE, linewidth=2, label="smoothed loss")
    if suggestion is not None:
        height = np.interp(np.log(suggestion), np.log(np.asarray(rates, float)), line)
        axes.axvline(suggestion, color=_RED, linewidth=1, linestyle="--")
        label = f"suggestion: {format_value(suggestion)}"
        axes.plot([suggestion], [height], "o", color=_RED, markersize=7, label=label)
    if len(line):
        # Without most of the divergence at the end, beside which all else would look flat.
        low = min(line.min(), np.min(losses))
        high = min(line.max(), 2 * line[0] - low)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.set(
        xscale="log",
        xlabel="learning rate",
        ylabel="training loss",
        title="Learning-rate range test",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="best", framealpha=0.9)
    return figure_to_pixels(figure)


def draw_schedule(rates: ArrayLike, steps_per_epoch: int, title: str) -> NDArray[np.uint8]:
    """Draws the learning rate of each step of a run, with the epochs on the upper axis.

    Args:
        rates: The learning rate of each step, shape [steps].
        steps_per_epoch: The number of steps per epoch.
        title: The title.

    Returns:
        The pixels: uint8, shape [height, width, 3].
    """
    figure = Figure(figsize=(7.5, 4.5), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, np.size(rates) + 1)
    axes.plot(steps, rates, color=_BLUE, linewidth=2, marker="o" if len(steps) == 1 else "")
    axes.set(xlabel="step", ylabel="learning rate", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    # Any: matplotlib declares these functions for more kinds of arguments than it passes.
    convert: Any = (lambda step: step / steps_per_epoch, lambda epoch: epoch * steps_per_epoch)
    epochs = axes.secondary_xaxis("top", functions=convert)
    epochs.set_xlabel("epoch")
    return figure_to_pixels(figure)
