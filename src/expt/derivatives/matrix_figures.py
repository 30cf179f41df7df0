"""Figures of matrices: the softmax's Jacobian, gradients over two logits, and the chain rule."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from expt.derivatives.chain_rule import Factor, Product
from expt.derivatives.figures import COLORS, GRAY, Picture, new_figure, png, style_axes
from expt.derivatives.softmax import Jacobian, LossOfLogits

_CELL = 0.52  # inches


def draw_jacobians(jacobians: Sequence[Jacobian]) -> Picture:
    """Draws softmax Jacobians as heat maps with their numbers."""
    figure = new_figure(4.6 * len(jacobians), 4.2)
    for axes, jacobian in zip(figure.subplots(1, len(jacobians)), jacobians, strict=True):
        _heat_map(axes, jacobian.matrix, 0.25, digits=3)
        indices = enumerate("₁₂₃₄"[: len(jacobian.logits)])
        z, p = jacobian.logits, jacobian.probabilities
        names = [(f"z{i} = {z[n]:g}", f"p{i} = {p[n]:.2f}") for n, i in indices]
        axes.set_xticks(range(len(z)), [name for name, _ in names])
        axes.set_yticks(range(len(z)), [name for _, name in names])
        axes.set_title("∂pᵢ / ∂zⱼ")
    caption = (
        "J = diag(p) - p pᵀ. Each row and each column has the sum 0: a softmax does not change if "
        "a number is added to all logits. If one logit is far larger than the others (right), all "
        "derivatives are almost 0: the softmax is saturated."
    )
    return Picture("softmax_jacobian.png", "The softmax's Jacobian", caption, png(figure))


def draw_comparison(losses: Sequence[LossOfLogits]) -> Picture:
    """Draws the gradients of losses of a softmax side by side."""
    figure = new_figure(9.6, 6.6)
    tops, bottoms = figure.subplots(2, len(losses), sharey="row")
    largest = max(loss.norms.max() for loss in losses)
    for top, bottom, loss in zip(tops, bottoms, losses, strict=True):
        style_axes(top, xlabel="z₁, the logit of the true class", title=loss.title)
        top.axhline(0, color=GRAY, linewidth=0.8)
        for index in (0, 1):
            name = ("∂l/∂z₁", "∂l/∂z₂ = ∂l/∂z₃")[index]
            line = loss.gradient[:, index]
            top.plot(loss.x, line, color=COLORS[index], linewidth=2.2, label=name)
        top.legend(fontsize=8, frameon=False, loc="lower right")
        edge = float(np.ceil(loss.grid.max()))
        image = bottom.imshow(
            loss.norms,
            origin="lower",
            extent=(-edge, edge, -edge, edge),
            vmin=0,
            vmax=largest,
            cmap="viridis",
            aspect="auto",
        )
        bottom.set(xlabel="z₁, the logit of the true class", title="norm of the gradient, z₃ = 0")
    tops[0].set_ylabel("gradient, logits (z₁, 0, 0)")
    bottoms[0].set_ylabel("z₂, the logit of another class")
    figure.colorbar(image, ax=list(bottoms))
    caption = (
        "Three classes, of which the first is true. Through a softmax, the gradient of the mean "
        "squared error, Jᵀ 2 (p - t) / n, is almost 0 where the model is certain, even if it is "
        "wrong (z₁ far below the other logits): the model can't leave its mistake. In the gradient "
        "of cross-entropy, p - t, the Jacobian cancels: the worse the mistake, the larger it is."
    )
    title = "Mean squared error and cross-entropy through a softmax"
    return Picture("mse_and_crossentropy.png", title, caption, png(figure))


def draw_chain_rule(products: Sequence[Product]) -> Picture:
    """Draws the factors of each product and their result, in a row each."""
    rows = [[*product.factors, product.result] for product in products]
    heights = [max(len(factor.matrix) for factor in row) * _CELL + 0.9 for row in rows]
    columns = max(sum(factor.matrix.shape[1] for factor in row) + len(row) for row in rows)
    figure = new_figure(columns * _CELL + 1.2, sum(heights))
    figure.set_layout_engine("none")
    width, height = figure.get_size_inches()
    top = height
    for row, row_height in zip(rows, heights, strict=True):
        middle, left = top - row_height / 2 - 0.2, 0.4
        for number, factor in enumerate(row):
            size = np.array(factor.matrix.shape[::-1]) * _CELL
            bottom = middle - size[1] / 2
            axes = figure.add_axes(
                (left / width, bottom / height, size[0] / width, size[1] / height)
            )
            _draw_factor(axes, factor)
            left += size[0]
            sign = {len(row) - 1: "", len(row) - 2: "="}.get(number, "·")
            figure.text(
                (left + 0.3) / width, middle / height, sign, ha="center", va="center", fontsize=18
            )
            left += 0.6
        top -= row_height
    caption = (
        "An example x through z₁ = x W₁, h = tanh(z₁), z₂ = h W₂ and the cross-entropy l of "
        "softmax(z₂). Each factor is a Jacobian from one persistent tape; the result is their "
        "product, which equals the tape's own gradient. The first row is carried from layer to "
        "layer, the other two update the weights."
    )
    return Picture("chain_rule.png", "The chain rule of an MLP", caption, png(figure))


def _draw_factor(axes: Axes, factor: Factor) -> None:
    _heat_map(axes, factor.matrix, max(1.0, float(np.abs(factor.matrix).max())), digits=2)
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{factor.name}\n{factor.formula}", fontsize=9)


def _heat_map(axes: Axes, matrix: Any, limit: float, digits: int) -> None:
    """Draws numbers on cells from blue (negative) over white (0) to red."""
    axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (i, j), number in np.ndenumerate(matrix):
        color = "white" if abs(number) > 0.65 * limit else "black"
        text = f"{number + 0.0:.{digits}f}".replace("-0." + "0" * digits, "0." + "0" * digits)
        axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
