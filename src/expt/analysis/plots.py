"""Plots of a comparison as PNG files, drawn with matplotlib.

matplotlib is imported inside functions, since commands that draw nothing should not wait for it.
"""

import io
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from expt.analysis.cells import metric_title
from expt.analysis.compared_run import BEST
from expt.analysis.curves import curves
from expt.analysis.grouping import (
    Dependence,
    by_rank,
    find_dependences,
    measured_values,
    pair_means,
)
from expt.analysis.table import Comparison
from expt.analysis.values import as_text, decimals, plain
from expt.analysis.variants import labels
from expt.parts.numbers import is_number
from expt.runs.find import file_name
from expt.runs.leading import is_metric_larger_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CURVES = 10
_MOST_OPTIONS = 30  # values of a parameter in one plot
_MOST_EFFECTS = 12
_MOST_IN_PAIRS = 4  # parameters; each pair of them has a heat map
_LONGEST_LABEL = 64
_DOTS_PER_INCH = 110


def draw_plots(comparison: Comparison) -> Iterator[tuple[str, str, bytes]]:
    """Draws the learning curves, the effects of parameters, and heat maps of pairs of parameters.

    Yields:
        The name of the file without its ending, the title, and the PNG data of each plot.
    """
    leading = comparison.leading
    if leading is None or not any(variant.counted for variant in comparison.variants):
        return
    if (png := _curves(comparison, leading.removeprefix(BEST))) is not None:
        yield "curves", f"{plain(leading.removeprefix(BEST))} by step", png
    dependences = find_dependences(comparison)
    for dependence in dependences[:_MOST_EFFECTS]:
        yield (
            f"effect_{file_name(dependence.key)}",
            f"effect of {plain(dependence.key)}",
            _effect(dependence, leading),
        )
    strongest = [dependence.key for dependence in dependences[:_MOST_IN_PAIRS]]
    for down, across in combinations(strongest, 2):
        name = f"heatmap_{file_name(down)}_{file_name(across)}"
        title = f"{plain(down)} and {plain(across)}"
        yield name, title, _heat_map(comparison, down, across, leading)


def _curves(comparison: Comparison, metric: str) -> bytes | None:
    variants = by_rank(comparison)
    drawn = [
        (variant, found)
        for variant in variants[:_MOST_CURVES]
        if (found := curves(variant, [metric]).get(metric)) is not None
    ]
    if not drawn:
        return None
    figure, axes = _figure(9, 4.8)
    names = labels([variant for variant, _ in drawn])
    for (variant, found), name in zip(drawn, names, strict=True):
        (line,) = axes.plot(
            found.steps,
            found.mean,
            label=f"{_clipped(name)} (n {len(variant.counted)})".strip(),
            linewidth=2.2 if variant.is_best else 1.3,
            marker="o" if len(found.steps) == 1 else None,
        )
        axes.fill_between(found.steps, found.low, found.high, color=line.get_color(), alpha=0.15)
    if metric.endswith("loss") and all((found.mean > 0).all() for _, found in drawn):
        axes.set_yscale("log")
        # An interval may reach below zero, which a log axis can't show.
        axes.set_ylim(bottom=min(found.mean.min() for _, found in drawn) / 2)
    more = len(variants) - len(drawn)
    best = f" of the best {len(drawn)} variants" if more else ""
    title = f"mean and 95 % band over seeds{best}"
    axes.set(xlabel="step", ylabel=_clipped(plain(metric)), title=title)
    _legend(axes)
    return _png(figure)


def _effect(dependence: Dependence, leading: str) -> bytes:
    """Draws a thin line for each setting of the other parameters, and the mean for each value."""
    options = dependence.values
    figure, axes = _figure(min(4.6 + 0.35 * len(options), 12), 3.8)
    numeric = [value for value in options if is_number(value)]
    places: list[float] = list(range(len(options)))
    if len(numeric) == len(options):
        places = [float(value) for value in options]
        # Values such as learning rates are usually chosen by factors and not by differences.
        if min(places) > 0 and max(places) / min(places) >= 10:
            axes.set_xscale("log")
    elif len(options) <= _MOST_OPTIONS:
        steep = sum(len(as_text(value)) for value in options) > 50
        axes.set_xticks(places, [_clipped(as_text(value), 24) for value in options])
        axes.tick_params(axis="x", rotation=35 if steep else 0)
        axes.set_xlim(-0.6, len(options) - 0.4)
    for setting in dependence.settings.values():
        across = sorted(setting)
        means = [setting[place].mean for place in across]
        axes.plot([places[place] for place in across], means, ".-", color="#a0a8b0", linewidth=0.9)
    axes.plot(places, dependence.means, "o", color="#1f4e8c", markersize=8, zorder=3)
    axes.set(xlabel=_clipped(plain(dependence.key)), ylabel=_clipped(metric_title(leading)))
    title = "lines: equal other parameters; points: means"
    axes.set_title(
        title if dependence.effect is not None else "the other parameters differ too", fontsize=9
    )
    return _png(figure)


def _heat_map(comparison: Comparison, down: str, across: str, leading: str) -> bytes:
    rows = measured_values(comparison, down)[:_MOST_OPTIONS]
    columns = measured_values(comparison, across)[:_MOST_OPTIONS]
    means = np.array(pair_means(comparison, down, across, leading))
    means = means[: len(rows), : len(columns)]
    figure, axes = _figure(min(3.4 + 0.85 * len(columns), 14), min(2.2 + 0.45 * len(rows), 12))
    larger = is_metric_larger_better(leading, comparison.larger_is_better)
    # The best values are always the light ones, for losses as for accuracies.
    image = axes.imshow(means, aspect="auto", cmap="viridis" if larger else "viridis_r")
    axes.set_xticks(range(len(columns)), [_clipped(as_text(value), 14) for value in columns])
    axes.set_yticks(range(len(rows)), [_clipped(as_text(value), 24) for value in rows])
    axes.tick_params(axis="x", rotation=35 if len(columns) > 5 else 0)
    axes.grid(visible=False)
    # The numbers of a larger map would overlap.
    if means.size <= 150:
        _write_numbers(axes, means, larger)
    axes.set(xlabel=_clipped(plain(across)), ylabel=_clipped(plain(down)))
    figure.colorbar(image, ax=axes, label=_clipped(f"mean {metric_title(leading)}"))
    return _png(figure)


def _write_numbers(axes: "Axes", means: Any, larger: bool) -> None:
    least, most = np.nanmin(means), np.nanmax(means)
    places = decimals(means.ravel().tolist())
    for (i, j), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            share = (mean - least) / (most - least) if most > least else 0.5
            # Text has to contrast with the color below it.
            is_light = (share if larger else 1 - share) > 0.6
            color = "black" if is_light else "white"
            axes.text(j, i, f"{mean:.{places}f}", ha="center", va="center", color=color, fontsize=8)


def _clipped(text: str, length: int = _LONGEST_LABEL) -> str:
    text = text if len(text) <= length else f"{text[: length - 1]}…"
    # matplotlib would typeset text between dollar signs as a formula, or fail to parse it.
    return text.replace("$", r"\$")


def _legend(axes: "Axes") -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False)


def _figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    # Without pyplot, which selects a backend that may need a display and keeps figures in memory.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
