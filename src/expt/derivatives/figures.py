"""Figures of activations and losses, and what all figures have in common."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from expt.derivatives.activations import ActivationDerivatives
from expt.derivatives.losses import LossGradient
from expt.record.figures import figure_to_pixels

COLORS = ("#1f4e8c", "#c4442d", "#3a8a4d", "#8a5ba8")
"""Colors of lines, in order."""
GRAY = "#8a939c"
_DOTS_PER_INCH = 110
_JUMP = 0.15  # of a function's range, between neighboring points


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: The name of the file, such as `act_relu.png`.
        title: The title above the figure.
        caption: The text below it.
        data: The content of the file.
    """

    name: str
    title: str
    caption: str
    data: bytes


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches, without pyplot's global state."""
    return Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")


def png(figure: Figure) -> bytes:
    """Returns a figure as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(figure_to_pixels(figure)).save(buffer, format="PNG")
    return buffer.getvalue()


def style_axes(axes: Axes, **labels: str) -> None:
    """Adds a grid, zero lines and labels, and removes the frame at the top and at the right."""
    axes.grid(visible=True, alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set(**labels)


def draw_activation(result: ActivationDerivatives) -> Picture:
    """Draws f, f' and f'' beside each other, each with its closed form."""
    figure = new_figure(9.6, 2.7)
    first, second = result.expected or (None, None)
    panels = (
        ("f(x)", result.value, None),
        ("f'(x)", result.first, first),
        ("f''(x)", result.second, second),
    )
    for axes, (title, found, expected), color in zip(
        figure.subplots(1, 3), panels, COLORS, strict=False
    ):
        style_axes(axes, xlabel="x", title=title)
        axes.axhline(0, color=GRAY, linewidth=0.8)
        if found is not None:
            x, y = with_gaps(result.x, found)
            axes.plot(x, y, color=color, linewidth=2.2, label="tape")
        else:
            note = "TensorFlow can't\ncompute it; shown:\nthe closed form"
            axes.text(0.04, 0.04, note, transform=axes.transAxes, fontsize=8, color=GRAY)
        if expected is not None:
            x, y = with_gaps(result.x, expected)
            axes.plot(x, y, ":", color="black", linewidth=1.4, label="closed form")
            axes.legend(fontsize=7, frameon=False, loc="best")
        _widen(axes)
    title = f"act={result.name}"
    return Picture(f"act_{result.name}.png", title, _describe_activation(result), png(figure))


def with_gaps(x: Any, y: Any) -> tuple[Any, Any]:
    """Inserts NaN where a function jumps, so that no line is drawn across the jump."""
    y = np.asarray(y, np.float64)
    places = np.flatnonzero(np.abs(np.diff(y)) > _JUMP * (np.ptp(y) or 1)) + 1
    return np.insert(x, places, x[places - 1]), np.insert(y, places, np.nan)


def _widen(axes: Axes) -> None:
    """Widens a y axis shorter than 0.5 to 1.

    Otherwise the rounding errors of a constant function would fill the figure.
    """
    low, high = axes.get_ylim()
    if high - low < 0.5:
        middle = (low + high) / 2
        axes.set_ylim(middle - 0.5, middle + 0.5)


def _describe_activation(result: ActivationDerivatives) -> str:
    form = result.closed_form
    if form is None:
        return "No closed form is known for this function: only the tapes' values are shown."
    text = f"f = {form.function}.  f' = {form.first}.  f'' = {form.second}."
    for kink, (first, second) in result.at_kinks.items():
        shown = f"f' = {first:.4g}" + ("" if second is None else f", f'' = {second:.4g}")
        text += f"  At the kink x = {kink:g}, the tapes return {shown}."
    return text


def draw_loss(results: Sequence[LossGradient]) -> Picture:
    """Draws the value and the gradient of a loss, a row for labels and a row for values."""
    figure = new_figure(9.6, 3.1 * len(results))
    rows = figure.subplots(len(results), 2, squeeze=False)
    for (left, right), result in zip(rows, results, strict=True):
        symbol = "z" if result.of_labels else "o"
        variable = f"{symbol}₁, the logit of the true class" if result.of_labels else f"{symbol}₁"
        style_axes(left, xlabel=variable, title=f"loss: {result.setting}")
        left.plot(result.x, result.value, color=COLORS[0], linewidth=2.2)
        style_axes(right, xlabel=variable, title="gradient")
        right.axhline(0, color=GRAY, linewidth=0.8)
        for index, column in enumerate(result.gradient.T):
            label = f"∂l/∂{symbol}{'₁₂₃'[index]}"
            right.plot(*with_gaps(result.x, column), color=COLORS[index], linewidth=2, label=label)
            if result.expected is not None:
                name = "closed form" if index == result.gradient.shape[1] - 1 else None
                exact = result.expected[:, index]
                right.plot(
                    *with_gaps(result.x, exact), ":", color="black", linewidth=1.2, label=name
                )
        right.legend(fontsize=8, frameon=False, loc="best")
        for axes in (left, right):
            axes.title.set_fontsize(10)
    name = results[0].name
    return Picture(f"loss_{name}.png", f"loss={name}", _describe_loss(results), png(figure))


def _describe_loss(results: Sequence[LossGradient]) -> str:
    texts = []
    for result in results:
        outputs = "logits" if result.of_labels else "outputs"
        known = result.formula or "no closed form is known"
        texts.append(f"Gradient with respect to the {outputs}: {known}.")
    return "  ".join(texts)
