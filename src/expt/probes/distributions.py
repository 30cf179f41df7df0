"""Figures of a run's histograms: the distribution of each layer's values by training time."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from expt.probes.probe import Pixels
from expt.record.figures import figure_to_pixels
from expt.record.recorder import WITHIN, Histogram

_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The shares of values below each edge of the bands, the middle one being the median."""
_COLUMNS = 4
_MOST_LAYERS = 24
_CELL = (2.9, 1.9)  # inches
_LONGEST = 28  # characters of a layer's name


def distributions(
    histograms: Iterable[Histogram],
) -> Iterator[tuple[str, Callable[[], Pixels]]]:
    """Returns a figure for each group of histograms, such as `gradients`, with a plot by layer.

    Trackers without histograms, such as MLflow, show it in their place. The bands of a plot have
    5, 25, 50, 75 and 95 % of the values below their edges, the palest ones all of them.

    Args:
        histograms: The histograms of a run.

    Yields:
        The name of the group and a function that draws its figure.
    """
    groups: dict[str, dict[str, list[Histogram]]] = {}
    for histogram in histograms:
        if len(histogram.counts):
            group, _, layer = histogram.name.removeprefix(WITHIN).partition("/")
            groups.setdefault(group, {}).setdefault(layer, []).append(histogram)
    for group, layers in groups.items():
        yield group, functools.partial(_draw, group, layers)


def quantiles(histogram: Histogram, shares: Sequence[float]) -> NDArray[np.float64]:
    """Returns the values that some shares of a histogram lie below, shape [shares].

    Values are taken as spread evenly within a bin.
    """
    edges, counts = histogram.edges, histogram.counts
    up_to = np.cumsum(counts)
    ranks = np.asarray(shares) * up_to[-1]
    bins = np.searchsorted(up_to, ranks)  # the first bin that reaches the rank, so none is empty
    within = (ranks - up_to[bins] + counts[bins]) / counts[bins]
    found: NDArray[np.float64] = edges[bins] + within * np.diff(edges)[bins]
    return found


def _draw(group: str, layers: dict[str, list[Histogram]]) -> Pixels:
    shown = list(layers.items())[:_MOST_LAYERS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(columns * _CELL[0], rows * _CELL[1] + 0.4), layout="constrained")
    left = len(layers) - len(shown)
    figure.suptitle(f"{group} by step" + (f" ({left} more layers)" if left else ""), fontsize=10)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (layer, histograms) in zip(axes, shown, strict=False):
        _draw_layer(axis, layer, histograms)
    for axis in axes[len(shown) :]:
        axis.axis("off")
    return figure_to_pixels(figure)


def _draw_layer(axis: Axes, layer: str, histograms: Sequence[Histogram]) -> None:
    ordered = sorted(histograms, key=lambda one: one.step)
    steps = [one.step for one in ordered]
    edges = np.array([quantiles(one, _SHARES) for one in ordered]).T
    for place in range(len(_SHARES) // 2):
        axis.fill_between(steps, edges[place], edges[-1 - place], color="C0", alpha=0.25, lw=0)
    axis.plot(
        steps, edges[len(_SHARES) // 2], color="C0", lw=1, marker="." if len(steps) == 1 else ""
    )
    axis.set_title(layer if len(layer) <= _LONGEST else f"…{layer[-_LONGEST + 1 :]}", fontsize=8)
    axis.tick_params(labelsize=6)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axis.yaxis.get_offset_text().set_fontsize(6)
