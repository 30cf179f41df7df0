"""The measured runs in the order of their rank, or grouped by the value of a parameter."""

from typing import Any

import numpy as np

from expt.comparison.table import Comparison
from expt.comparison.values import as_text
from expt.comparison.variants import Variant, is_larger_better


def by_effect(comparison: Comparison, leading: str) -> list[str]:
    """Returns the parameters that vary: first those whose values' means are farthest apart."""
    spans = {}
    for key in comparison.parameters:
        means = [np.mean(values) for values in groups(comparison, key, leading).values()]
        if len(means) > 1:
            spans[key] = float(max(means) - min(means))
    return sorted(spans, key=lambda key: -spans[key])


def groups(comparison: Comparison, key: str, leading: str) -> dict[Any, list[float]]:
    """Returns all counted runs' values by the parameter's value: numbers in order, then texts."""
    found: dict[str, tuple[Any, list[float]]] = {}
    for variant in comparison.variants:
        value = variant.params[key]
        _, values = found.setdefault(as_text(value), (value, []))
        values.extend(variant.values(leading).values())
    ordered = sorted(
        ((text, value, values) for text, (value, values) in found.items() if values),
        key=lambda one: (0, float(one[1]), "") if is_number(one[1]) else (1, 0.0, one[0]),
    )
    return {value if is_number(value) else text: values for text, value, values in ordered}


def is_number(value: object) -> bool:
    """Returns whether a parameter's value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def by_rank(comparison: Comparison) -> list[Variant]:
    """Returns the measured variants by their leading metric, whatever the table is sorted by."""
    leading = comparison.leading
    assert leading is not None
    sign = -1 if is_larger_better(leading, comparison.larger_is_better) else 1
    measured = [variant for variant in comparison.variants if variant.counted]
    return sorted(measured, key=lambda variant: sign * variant.summaries[leading].mean)
