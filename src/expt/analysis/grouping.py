"""The measured variants ranked by the leading metric, and grouped by the values of a parameter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expt.analysis.effects import Effect, effects
from expt.analysis.statistics import MetricSummary
from expt.analysis.table import Comparison
from expt.analysis.values import as_text
from expt.analysis.variants import Variant, short_names
from expt.parts.numbers import is_number
from expt.runs.leading import is_metric_larger_better


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """The dependence of the leading metric on one parameter.

    Attributes:
        key: The full key of the parameter.
        values: The values of the parameter: numbers in ascending order, then others as text.
        settings: For each setting of the other parameters, such as `act=relu, loss=mse`, the
            summaries of the metric by index into `values`.
        means: The mean of the metric for each value: over complete blocks if `effect` is not None,
            otherwise over all settings.
        effect: The effect of the parameter, all else being equal; None if there is no complete
            block as defined by `Effect`.
    """

    key: str
    values: Sequence[Any]
    settings: Mapping[str, Mapping[int, MetricSummary]]
    means: Sequence[float]
    effect: Effect | None

    @property
    def span(self) -> float:
        """The distance between the largest and the smallest mean."""
        return max(self.means) - min(self.means)


def find_dependences(comparison: Comparison) -> list[Dependence]:
    """Returns the dependences on all parameters that vary, in descending order of their span."""
    found = {effect.key: effect for effect in effects(comparison)}
    made = [_find_dependence(comparison, key, found.get(key)) for key in comparison.parameters]
    return sorted((one for one in made if len(one.values) > 1), key=lambda one: -one.span)


def _find_dependence(comparison: Comparison, key: str, effect: Effect | None) -> Dependence:
    assert comparison.leading is not None
    values = measured_values(comparison, key)
    places = {as_text(value): place for place, value in enumerate(values)}
    settings: dict[str, dict[int, MetricSummary]] = {}
    names = short_names(comparison.parameters)
    for variant in by_rank(comparison):
        others = [
            f"{names[k]}={as_text(v)}"
            for k, v in variant.params.items()
            if k != key and v is not None
        ]
        place = places[as_text(variant.params[key])]
        summary = variant.summaries[comparison.leading]
        settings.setdefault(", ".join(others), {})[place] = summary
    if effect is None:
        columns = [
            [s[place].mean for s in settings.values() if place in s] for place in range(len(values))
        ]
        means = [_mean(column) for column in columns]
    else:
        by_text = {as_text(level.value): level.summary.mean for level in effect.levels}
        means = [by_text[text] for text in places]
    return Dependence(key=key, values=values, settings=settings, means=means, effect=effect)


def measured_values(comparison: Comparison, key: str) -> list[Any]:
    """Returns a parameter's values in the measured variants: numbers, then others as text."""
    # Keyed by text, since some values, such as lists, are not hashable.
    found = {as_text(v.params[key]): v.params[key] for v in comparison.variants if v.counted}
    ordered = sorted(
        found.items(),
        key=lambda one: (0, float(one[1]), "") if is_number(one[1]) else (1, 0.0, one[0]),
    )
    return [value if is_number(value) else text for text, value in ordered]


def pair_means(comparison: Comparison, down: str, across: str, leading: str) -> list[list[float]]:
    """Returns the mean of a metric over all runs with each pair of values of two parameters.

    Args:
        comparison: The comparison.
        down: The parameter whose values are the rows.
        across: The parameter whose values are the columns.
        leading: The metric.

    Returns:
        A row of means for each value of `down`; NaN where no run has the pair.
    """
    cells: dict[tuple[str, str], list[float]] = {}
    for variant in comparison.variants:
        pair = as_text(variant.params[down]), as_text(variant.params[across])
        cells.setdefault(pair, []).extend(variant.values(leading).values())
    return [
        [
            _mean(cells.get((as_text(row), as_text(column)), ()))
            for column in measured_values(comparison, across)
        ]
        for row in measured_values(comparison, down)
    ]


def by_rank(comparison: Comparison) -> list[Variant]:
    """Returns the measured variants, best first, regardless of the table's sort order."""
    leading = comparison.leading
    assert leading is not None
    sign = -1 if is_metric_larger_better(leading, comparison.larger_is_better) else 1
    measured = [variant for variant in comparison.variants if variant.counted]
    return sorted(measured, key=lambda variant: sign * variant.summaries[leading].mean)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
