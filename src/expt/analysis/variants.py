"""Variants: the runs that are replicates of each other, and their differences to the best one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from expt.analysis.multiple import Difference, differences_to
from expt.analysis.reading import ComparedRun
from expt.analysis.replicates import replicate_of
from expt.analysis.statistics import MetricSummary, summarize
from expt.analysis.values import as_text, plain
from expt.runs.chronology import in_order
from expt.runs.leading import is_larger_better

COSTS = {
    "steps_per_s": "steps/s",
    "seconds": "time",
    "parameters": "parameters",
    "peak_memory": "memory",
}
"""What the costs are called where people read them."""


class Verdict(StrEnum):
    """The outcome of comparing something with the best one."""

    BEST = "best"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(kw_only=True)
class Variant:
    """Runs that are replicates of each other.

    Attributes:
        params: Those parameters that vary between variants.
        runs: All of its runs.
        counted: The FINISHED ones that have the leading metric; the newest of each replicate.
        summaries: Of each metric, over the counted runs that have it.
        costs: Means over the finished runs; of the peak memory the largest.
        replicates: The keys by which its runs differ.
        difference: The difference to the best variant; None for the best one itself, and where
            there is no test, as of a single replicate.
        verdict: None if no run counts.
    """

    params: Mapping[str, Any]
    runs: Sequence[ComparedRun]
    counted: Sequence[ComparedRun]
    summaries: Mapping[str, MetricSummary]
    costs: Mapping[str, float]
    replicates: Sequence[str]
    difference: Difference | None = None
    verdict: Verdict | None = None

    @property
    def is_best(self) -> bool:
        """Whether its mean of the leading metric is the best."""
        return self.verdict is Verdict.BEST

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """Returns the counted runs' values by replicate."""
        return {
            replicate_of(run, self.replicates): run.metrics[metric]
            for run in self.counted
            if metric in run.metrics
        }


def make_variant(
    runs: Sequence[ComparedRun],
    parameters: Sequence[str],
    leading: str | None,
    replicates: Sequence[str],
) -> Variant:
    """Groups runs that are replicates of each other.

    Args:
        runs: At least one.
        parameters: The keys of those that vary between variants.
        leading: The metric that a run must have to count.
        replicates: The keys by which the runs differ.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    newest: dict[tuple[str, ...], ComparedRun] = {}
    for run in in_order(finished, lambda run: (run.started, *run.place)):
        if leading in run.metrics:
            newest[replicate_of(run, replicates)] = run
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
        replicates=replicates,
    )


def judge(
    variants: Sequence[Variant], leading: str | None, larger: Collection[str], margin: float | None
) -> None:
    """Marks the best variant, and compares the others with it.

    Args:
        variants: They get their `verdict` and `difference`.
        leading: The metric that decides.
        larger: The names of the metrics of which larger values are better.
        margin: The difference that is of no practical importance; None if none was given.
    """
    measured = [variant for variant in variants if variant.counted]
    if leading is None or not measured:
        return
    choose = max if is_larger_better(leading, larger) else min
    best = choose(measured, key=lambda variant: variant.summaries[leading].mean)
    groups = [variant.values(leading) for variant in measured]
    found = differences_to(groups, next(i for i, one in enumerate(measured) if one is best))
    for variant, difference in zip(measured, found, strict=True):
        variant.difference = difference
        variant.verdict = verdict_on(difference, margin)
    best.verdict = Verdict.BEST


def verdict_on(difference: Difference | None, margin: float | None) -> Verdict:
    """Returns the verdict on something that is not the best one.

    A difference that is not significant is inconclusive, unless its interval lies within the
    margin.
    """
    if difference is None:
        return Verdict.INCONCLUSIVE
    if difference.is_significant:
        return Verdict.WORSE
    is_within = margin is not None and difference.is_within(margin)
    return Verdict.EQUIVALENT if is_within else Verdict.INCONCLUSIVE


def labels(variants: Sequence[Variant]) -> list[str]:
    """Returns what distinguishes some variants, such as `act=relu, loss=mse`, for each."""
    return [", ".join(parts) for parts in label_parts(variants)]


def label_parts(variants: Sequence[Variant], is_short: bool = False) -> list[list[str]]:
    """Returns the values that distinguish some variants, such as `act=relu`, for each.

    Args:
        variants: At least one, or none.
        is_short: Whether a key is its last name where no other one ends like that.
    """
    keys = [
        key
        for key in (variants[0].params if variants else ())
        if any(variant.params[key] != variants[0].params[key] for variant in variants)
    ]
    names = short_names(keys) if is_short else {key: plain(key) for key in keys}
    return [
        [
            f"{names[key]}={as_text(variant.params[key])}"
            for key in keys
            if variant.params[key] is not None
        ]
        for variant in variants
    ]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Returns the last name of each key, or all of it where two keys end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: plain(name if last.count(name) == 1 else key)
        for key, name in zip(keys, last, strict=True)
    }


def _have(name: str, runs: Sequence[ComparedRun]) -> bool:
    return any(name in run.costs for run in runs)


def _cost(name: str, runs: Sequence[ComparedRun]) -> float:
    values = [run.costs[name] for run in runs if name in run.costs]
    return max(values) if name == "peak_memory" else fmean(values)
