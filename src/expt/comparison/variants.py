"""Variants: the runs that differ by their seed alone, and how they stand against the best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from expt.comparison.reading import BEST, ComparedRun
from expt.comparison.statistics import Difference, Summary, difference, summarize
from expt.comparison.values import params_text
from expt.runs.order import in_order

COSTS = {
    "steps_per_s": "steps/s",
    "seconds": "time",
    "parameters": "parameters",
    "peak_memory": "memory",
}
"""What the costs are called where people read them."""


@dataclass(kw_only=True)
class Variant:
    """Runs that differ by their seed alone.

    Attributes:
        params: Those parameters that vary between variants.
        runs: All of its runs.
        counted: The FINISHED ones that have the leading metric; the newest of each seed.
        summaries: Of each metric, over the counted runs that have it.
        costs: Means over the finished runs; of the peak memory the largest.
        is_best: Whether its leading metric has the best mean.
        difference: What the test against the best one tells; None for the best one itself, or if
            nothing can be told.
    """

    params: Mapping[str, Any]
    runs: Sequence[ComparedRun]
    counted: Sequence[ComparedRun]
    summaries: Mapping[str, Summary]
    costs: Mapping[str, float]
    is_best: bool = False
    difference: Difference | None = None

    def values(self, metric: str) -> dict[int, float]:
        """The counted runs' values by seed."""
        return {
            run.seed if run.seed is not None else -1: run.metrics[metric]
            for run in self.counted
            if metric in run.metrics
        }


def make_variant(
    runs: Sequence[ComparedRun], parameters: Sequence[str], leading: str | None
) -> Variant:
    """Groups runs that differ by their seed alone.

    Args:
        runs: At least one.
        parameters: The keys of those that vary between variants.
        leading: The metric that a run must have to count.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    newest: dict[int | None, ComparedRun] = {}
    for run in in_order(finished, lambda run: (run.started, *run.place)):
        if leading in run.metrics:
            newest[run.seed] = run
    counted = list(newest.values())
    values: dict[str, list[float]] = {}
    for run in counted:
        for name, value in run.metrics.items():
            values.setdefault(name, []).append(value)
    return Variant(
        params={key: runs[0].params.get(key) for key in parameters},
        runs=runs,
        counted=counted,
        summaries={name: summarize(column) for name, column in values.items()},
        costs={name: _cost(name, finished) for name in COSTS if _have(name, finished)},
    )


def mark_best(variants: Sequence[Variant], leading: str | None, larger: Iterable[str]) -> None:
    """Marks the best variant, and tests the others against it."""
    measured = [variant for variant in variants if variant.counted]
    if leading is None or not measured:
        return
    choose = max if is_larger_better(leading, larger) else min
    best = choose(measured, key=lambda variant: variant.summaries[leading].mean)
    best.is_best = True
    for variant in measured:
        if variant is not best:
            variant.difference = difference(variant.values(leading), best.values(leading))


def is_larger_better(metric: str, larger: Iterable[str]) -> bool:
    """Whether larger values of a metric, by its full name, are better."""
    plain = metric.removeprefix(BEST)
    return plain in larger or plain.rpartition("/")[2] in larger


def labels(variants: Sequence[Variant]) -> list[str]:
    """Returns what tells some variants apart, such as `act=relu, loss=mse`, for each."""
    keys = [
        key
        for key in (variants[0].params if variants else ())
        if any(variant.params[key] != variants[0].params[key] for variant in variants)
    ]
    return [
        params_text({key: variant.params[key] for key in keys if variant.params[key] is not None})
        for variant in variants
    ]


def _have(name: str, runs: Sequence[ComparedRun]) -> bool:
    return any(name in run.costs for run in runs)


def _cost(name: str, runs: Sequence[ComparedRun]) -> float:
    values = [run.costs[name] for run in runs if name in run.costs]
    return max(values) if name == "peak_memory" else fmean(values)
