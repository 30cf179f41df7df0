"""The summary figure of a run's probes: layers by training time, as heat maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from expt.probes.probe import Pixels
from expt.record.figures import figure_to_pixels
from expt.record.recorder import WITHIN

ALL = "all"
"""The name of all layers together, which has no row."""
_ROW = 0.24  # inches
_MOST_COLUMNS = 60  # steps; of more, these are drawn, evenly spaced
_MOST_LABELS = 8  # steps with a label
_LONGEST = 24  # characters of a layer's name


@dataclass(frozen=True)
class _Panel:
    """One heat map.

    Attributes:
        title: Its title.
        norm: From values to colors; fixed, so that the figures of two runs can be compared.
        colors: A colormap of matplotlib.
    """

    title: str
    norm: Normalize
    colors: str


_PANELS = {
    "gradient_mean_abs": _Panel("gradient: mean |g|", LogNorm(1e-8, 1e-1), "viridis"),
    "update_ratio": _Panel("update ratio |Δw| / |w|", LogNorm(1e-6, 1), "coolwarm"),
    "saturated_share": _Panel("saturated share", Normalize(0, 1), "magma_r"),
    "dead_share": _Panel("dead units", Normalize(0, 1), "magma_r"),
}


def is_summarized(name: str) -> bool:
    """Whether the figure shows a metric, by its full name."""
    return name.removeprefix(WITHIN).partition("/")[0] in _PANELS


Series = Mapping[str, Mapping[int, float]]
"""By full metric name, the values by step."""


def draw_summary(series: Series) -> Pixels:
    """Draws the summary figure.

    Layers are in the order of the forward pass, the first one at the bottom, so that a gradient
    that vanishes on its way back fades from the top down.

    Args:
        series: The recorded values of the probes, such as `within/update_ratio/dense`; at least one
            of them is summarized.
    """
    tables = {name: _table(series, name) for name in _PANELS}
    shown = {name: table for name, table in tables.items() if table is not None}
    rows = max(len(layers) for layers, _, _ in shown.values())
    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)
    size = (6.4 * columns, lines * (1.3 + _ROW * max(rows, 4)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, (name, table) in zip(axes, shown.items(), strict=False):
        _draw(figure, axis, _PANELS[name], table)
    for axis in axes[len(shown) :]:
        axis.axis("off")
    return figure_to_pixels(figure)


_Table = tuple[Sequence[str], Sequence[int], NDArray[np.float64]]
"""Layers, steps, and the values of shape [layers, steps], NaN where there is none."""


def _table(series: Series, name: str) -> _Table | None:
    found = {
        metric.removeprefix(f"{WITHIN}{name}/"): values
        for metric, values in series.items()
        if metric.startswith(f"{WITHIN}{name}/") and metric != f"{WITHIN}{name}/{ALL}"
    }
    steps = sorted({step for values in found.values() for step in values})
    if not steps:
        return None
    if len(steps) > _MOST_COLUMNS:
        places = np.linspace(0, len(steps) - 1, _MOST_COLUMNS).round().astype(int)
        steps = [steps[place] for place in places]
    values = [[row.get(step, np.nan) for step in steps] for row in found.values()]
    return list(found), steps, np.array(values)


def _draw(figure: Figure, axis: Axes, panel: _Panel, table: _Table) -> None:
    layers, steps, values = table
    if isinstance(panel.norm, LogNorm):
        # A gradient of 0 has no logarithm, but is the most vanished one of all.
        values = np.clip(values, panel.norm.vmin, panel.norm.vmax)
    mesh = axis.pcolormesh(values, norm=panel.norm, cmap=panel.colors)
    axis.set_title(panel.title, fontsize=10)
    names = [name if len(name) <= _LONGEST else f"…{name[-_LONGEST + 1 :]}" for name in layers]
    axis.set_yticks(np.arange(len(layers)) + 0.5, names, fontsize=7)
    places = np.unique(np.linspace(0, len(steps) - 1, _MOST_LABELS).round().astype(int))
    axis.set_xticks(places + 0.5, [f"{steps[place]:,}" for place in places], fontsize=7)
    axis.set_xlabel("step", fontsize=8)
    bar = figure.colorbar(mesh, ax=axis, pad=0.02)
    bar.ax.tick_params(labelsize=7)
