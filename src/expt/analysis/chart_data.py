"""The data of the report's charts: curves, effects of parameters, and heat maps."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from expt.analysis.cells import metric_title, p_text
from expt.analysis.compared_run import BEST
from expt.analysis.curves import MetricCurve, curves
from expt.analysis.grouping import (
    Dependence,
    by_rank,
    find_dependences,
    measured_values,
    pair_means,
)
from expt.analysis.statistics import MetricSummary
from expt.analysis.table import Comparison
from expt.analysis.values import as_text, decimals, plain
from expt.analysis.variants import Variant, label_parts
from expt.parts.numbers import is_number
from expt.runs.leading import is_metric_larger_better

# These limits keep the report small enough for a browser, whatever the number of runs.
_MOST_CURVES = 20
_MOST_METRICS = 8
_MOST_POINTS = 200  # of a curve
_MOST_EFFECTS = 8
_MOST_OPTIONS = 30  # values of a parameter
_MOST_LINES = 60  # of an effect
_MOST_IN_PAIRS = 4  # parameters; each pair of them has a heat map
_LONGEST_LABEL = 80
_DIGITS = 6  # of a number, more than a chart can show


def chart_data(comparison: Comparison) -> dict[str, Any]:
    """Returns the data that the report's scripts draw, as JSON values."""
    leading = comparison.leading
    if leading is None or not any(variant.counted for variant in comparison.variants):
        return {"variants": [], "charts": [], "effects": [], "heatMaps": []}
    ranked = by_rank(comparison)
    dependences = find_dependences(comparison)
    strongest = [dependence.key for dependence in dependences[:_MOST_IN_PAIRS]]
    return {
        "metric": metric_title(leading),
        "largerIsBetter": is_metric_larger_better(leading, comparison.larger_is_better),
        "variants": [
            {"label": label, "isBest": variant.is_best, "n": len(variant.counted)}
            for variant, label in zip(
                ranked[:_MOST_CURVES], short_labels(ranked[:_MOST_CURVES]), strict=True
            )
        ],
        "more": max(0, len(ranked) - _MOST_CURVES),
        "charts": _charts(comparison, ranked[:_MOST_CURVES], leading.removeprefix(BEST)),
        "effects": [_effect(dependence) for dependence in dependences[:_MOST_EFFECTS]],
        "heatMaps": [
            _heat_map(comparison, down, across, leading)
            for down, across in combinations(strongest, 2)
        ],
    }


def short_labels(variants: Sequence[Variant]) -> list[str]:
    """Returns a short label for each variant, such as `act=relu, learning_rate=0.1`."""
    texts = [", ".join(parts) for parts in label_parts(variants, is_short=True)]
    return [_clipped(text) or "all runs" for text in texts]


def _charts(
    comparison: Comparison, ranked: Sequence[Variant], leading: str
) -> list[dict[str, Any]]:
    """Returns a chart for each metric that has a curve, that of the leading metric first."""
    metrics = _by_importance({name for v in ranked for name in v.summaries}, leading)
    found = [curves(variant, metrics) for variant in ranked]
    charts = []
    for metric in metrics:
        of_metric = [one.get(metric) for one in found]
        there = [curve for curve in of_metric if curve is not None]
        if not there or (metric != leading and all(_is_flat(curve) for curve in there)):
            continue
        # Training metrics are of one batch: their spread over seeds is mostly that of the batches.
        has_band = not metric.startswith("train/")
        charts.append(
            {
                "metric": plain(metric),
                "largerIsBetter": is_metric_larger_better(metric, comparison.larger_is_better),
                "isLog": metric.endswith("loss") and all((curve.mean > 0).all() for curve in there),
                "hasBand": has_band and any(len(variant.counted) > 1 for variant in ranked),
                "curves": [
                    None if curve is None else _curve(curve, has_band) for curve in of_metric
                ],
            }
        )
    return charts


def _by_importance(names: Iterable[str], leading: str) -> list[str]:
    """Orders metrics: the leading one, the other validation metrics, then the training metrics."""
    plain_names = {name for name in names if not name.startswith((BEST, "test/"))} | {leading}
    ranks = {"val": 0, "train": 1}
    last = leading.rpartition("/")[2]
    first = (last, "loss", "accuracy")

    def rank(name: str) -> tuple[bool, int, int, str]:
        split, _, short = name.rpartition("/")
        place = first.index(short) if short in first else len(first)
        return name != leading, ranks.get(split, 2), place, name

    return sorted(plain_names, key=rank)[:_MOST_METRICS]


def _is_flat(curve: MetricCurve) -> bool:
    """Whether a curve is constant, such as a single point or a constant learning rate."""
    return bool(curve.mean.min() == curve.mean.max())


def _curve(curve: MetricCurve, has_band: bool) -> dict[str, Any]:
    """Returns a curve with at most `_MOST_POINTS` points, including the first and the last."""
    count = len(curve.steps)
    kept = np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(int))
    found = {"steps": [round(step) for step in curve.steps[kept].tolist()]}
    found["mean"] = rounded(curve.mean[kept].tolist())
    if has_band and np.isfinite(curve.low).any():
        found["low"] = rounded(curve.low[kept].tolist())
        found["high"] = rounded(curve.high[kept].tolist())
    return found


def _effect(dependence: Dependence) -> dict[str, Any]:
    values = dependence.values[:_MOST_OPTIONS]
    return {
        "title": plain(dependence.key),
        "isNumeric": all(is_number(value) for value in values),
        "isPaired": dependence.effect is not None,
        "values": [_clipped(as_text(value)) for value in values],
        "numbers": [float(value) if is_number(value) else None for value in values],
        "means": rounded(dependence.means[:_MOST_OPTIONS]),
        "best": None
        if dependence.effect is None
        else rounded([dependence.effect.best.summary.mean])[0],
        "differences": _differences(dependence)[:_MOST_OPTIONS],
        "lines": [
            {
                "label": _clipped(label),
                "points": [
                    [place, *_of_summary(summaries[place])]
                    for place in sorted(summaries)
                    if place < _MOST_OPTIONS
                ],
            }
            for label, summaries in list(dependence.settings.items())[:_MOST_LINES]
        ],
    }


def _differences(dependence: Dependence) -> list[dict[str, Any] | None]:
    """Returns the difference of each value to the best one, with the other parameters equal."""
    if dependence.effect is None:
        return []
    best = dependence.effect.best
    found: dict[str, dict[str, Any] | None] = {}
    for level in dependence.effect.levels:
        difference = level.difference
        if difference is None:
            found[as_text(level.value)] = None
            continue
        low, high = rounded([difference.low, difference.high])
        places = decimals([difference.value, difference.low, difference.high])
        interval = f"{difference.low:+.{places}f} to {difference.high:+.{places}f}"
        found[as_text(level.value)] = {
            "low": low,
            "high": high,
            "label": f"difference to {_clipped(as_text(best.value))}",
            "text": f"{difference.value:+.{places}f} ({interval}), {p_text(difference.corrected)}",
        }
    # An effect orders its values by themselves; the chart needs them in the order of the axis.
    return [found[as_text(value)] for value in dependence.values]


def _heat_map(comparison: Comparison, down: str, across: str, leading: str) -> dict[str, Any]:
    rows = measured_values(comparison, down)[:_MOST_OPTIONS]
    columns = measured_values(comparison, across)[:_MOST_OPTIONS]
    means = pair_means(comparison, down, across, leading)
    return {
        "down": plain(down),
        "across": plain(across),
        "rows": [_clipped(as_text(row)) for row in rows],
        "columns": [_clipped(as_text(column)) for column in columns],
        "means": [rounded(row[:_MOST_OPTIONS]) for row in means[:_MOST_OPTIONS]],
    }


def rounded(values: Iterable[float]) -> list[float | None]:
    """Rounds numbers to `_DIGITS` significant digits; None for those that are not finite."""
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values]


def _of_summary(summary: MetricSummary) -> list[float | int | None]:
    half = math.nan if summary.half_width is None else summary.half_width
    return [*rounded([summary.mean, half]), summary.count]


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
