"""The layer and the quantity of a probe that separate two variants most."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path
from statistics import fmean, median

from expt.analysis.values import plain
from expt.analysis.variants import Variant, labels
from expt.record.journal import FILE_NAME
from expt.record.recorder import WITHIN
from expt.record.values import format_value

# The smallest value of each quantity that differs from 0 in practice; smaller values count alike.
_FLOORS = {
    "gradient_norm": 1e-12,
    "update_ratio": 1e-9,
    "dead_share": 1e-2,
    "saturated_share": 1e-2,
}
_MARKS = tuple(f'"{WITHIN}{quantity}/'.encode() for quantity in _FLOORS)
_MOST_RUNS = 20  # of a variant; more seeds do not change a median visibly
_LEAST = 0.5  # decades; a smaller difference separates nothing


def describe_separation(variants: Sequence[Variant]) -> list[str]:
    """Returns a note on what separates two variants inside the model, in the probes' columns.

    For each layer, the medians over the steps of a run are averaged over runs on a logarithmic
    scale; the largest difference is named. There is no note without two variants, without probes,
    and if no quantity differs by half a decade.
    """
    measured = [variant for variant in variants if variant.counted]
    if len(measured) != 2:
        return []
    one, other = map(_typical_values, measured)
    common = [name for name in one if name in other]
    if not common:
        return []
    name = max(common, key=lambda name: abs(one[name] - other[name]))
    if abs(one[name] - other[name]) < _LEAST:
        return []
    quantity, _, layer = name.partition("/")
    descriptions = [
        f"{format_value(10 ** values[name])} with {label or 'the other'}"
        for values, label in zip((one, other), labels(measured), strict=True)
    ]
    return [
        f"Inside the model, {plain(quantity)} of the layer {plain(layer)} separates them most: "
        f"{' and '.join(descriptions)}, as the median over the steps."
    ]


def _typical_values(variant: Variant) -> Mapping[str, float]:
    """Returns the mean logarithm (base 10) of each layer's quantities over a variant's runs."""
    found = defaultdict(list)
    for run in variant.counted[:_MOST_RUNS]:
        for name, value in _medians(run.directory / FILE_NAME).items():
            floor = _FLOORS[name.partition("/")[0]]
            found[name].append(log10(max(value, floor)))
    return {name: fmean(values) for name, values in found.items()}


def _medians(path: Path) -> Mapping[str, float]:
    """Returns the median of each probe's column of a journal; damaged lines are skipped."""
    columns = defaultdict(list)
    try:
        with path.open("rb") as file:
            # Few lines have columns of probes; the others are not parsed.
            for line in file:
                if any(mark in line for mark in _MARKS):
                    for name, value in _values(line).items():
                        columns[name].append(value)
    except OSError:
        return {}
    return {name: median(values) for name, values in columns.items()}


def _values(line: bytes) -> Mapping[str, float]:
    try:
        record = json.loads(line)
        values = {name.removeprefix(WITHIN): value for name, value in record.items()}
        return {
            name: float(value)
            for name, value in values.items()
            if name.partition("/")[0] in _FLOORS and not name.endswith("/all")
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
