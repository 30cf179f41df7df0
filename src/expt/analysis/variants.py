"""Variants: groups of runs that are replicates of each other, compared with the best of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from expt.analysis.compared_run import ComparedRun
from expt.analysis.multiple import Difference, differences_to
from expt.analysis.replicates import replicate_of
from expt.analysis.statistics import MetricSummary, summarize
from expt.analysis.values import as_text, plain
from expt.runs.chronology import sort_by_start
from expt.runs.leading import is_metric_larger_better

COSTS = {
    "steps_per_s": "steps/s",
    "seconds": "time",
    "parameters": "parameters",
    "peak_memory": "memory",
}
"""The column titles of the costs."""


class Verdict(StrEnum):
    """The outcome of comparing a variant, or a value of a parameter, with the best one."""

    BEST = "best"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(kw_only=True)
class Variant:
    """A group of runs that are replicates of each other.

    Attributes:
        params: The values of the parameters that vary between variants, by full key.
        runs: All runs of the variant.
        counted: The FINISHED runs that have the leading metric; of several runs of one replicate,
            the newest.
        summaries: The summary of each metric over the counted runs that have it.
        costs: The means of the costs over the finished runs; for the peak memory, the maximum.
        replicate_keys: The keys whose values tell the replicates apart, such as `seed`.
        difference: The difference to the best variant; None for the best variant, and where there
            is no test, as for a single replicate.
        verdict: The verdict; None if no run counts.
    """

    params: Mapping[str, Any]
    runs: Sequence[ComparedRun]
    counted: Sequence[ComparedRun]
    summaries: Mapping[str, MetricSummary]
    costs: Mapping[str, float]
    replicate_keys: Sequence[str]
    difference: Difference | None = None
    verdict: Verdict | None = None

    @property
    def is_best(self) -> bool:
        """Whether the variant has the best mean of the leading metric."""
        return self.verdict is Verdict.BEST

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """Returns the values of a metric in the counted runs, by replicate."""
        return {
            replicate_of(run, self.replicate_keys): run.metrics[metric]
            for run in self.counted
            if metric in run.metrics
        }


def make_variant(
    runs: Sequence[ComparedRun],
    parameters: Sequence[str],
    leading: str | None,
    replicates: Sequence[str],
) -> Variant:
    """Makes a variant of runs that are replicates of each other.

    Args:
        runs: At least one run.
        parameters: The keys of the parameters that vary between variants.
        leading: The metric that a run must have to count.
        replicates: The keys whose values tell the replicates apart, such as `seed`.
    """
    # Interrupted runs have fewer steps, so that their last values would bias the mean.
    finished = [run for run in runs if run.status == "FINISHED"]
    newest: dict[tuple[str, ...], ComparedRun] = {}
    # Two runs of one seed are the same experiment: counted twice, they would narrow the interval
    # without adding information. Later runs overwrite earlier ones here.
    for run in sort_by_start(finished, lambda run: (run.started, *run.place)):
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
        costs={name: _cost(name, finished) for name in COSTS if _any_has(name, finished)},
        replicate_keys=replicates,
    )


def judge(
    variants: Sequence[Variant], leading: str | None, larger: Collection[str], margin: float | None
) -> None:
    """Finds the best variant, and sets `verdict` and `difference` of all measured variants.

    Args:
        variants: The variants, changed in place.
        leading: The metric by which the variants are ranked.
        larger: The names of the metrics for which larger values are better.
        margin: The largest difference that does not matter in practice; None if not given.
    """
    measured = [variant for variant in variants if variant.counted]
    if leading is None or not measured:
        return
    choose = max if is_metric_larger_better(leading, larger) else min
    best = choose(measured, key=lambda variant: variant.summaries[leading].mean)
    groups = [variant.values(leading) for variant in measured]
    found = differences_to(groups, next(i for i, one in enumerate(measured) if one is best))
    for variant, difference in zip(measured, found, strict=True):
        variant.difference = difference
        variant.verdict = verdict_on(difference, margin)
    best.verdict = Verdict.BEST


def verdict_on(difference: Difference | None, margin: float | None) -> Verdict:
    """Returns the verdict on a variant, or a value of a parameter, that is not the best.

    A significant difference is WORSE, however small. A difference that is not significant is
    EQUIVALENT if its interval lies within ±margin (see `Difference.is_within`), and otherwise
    INCONCLUSIVE: the absence of significance is no evidence of equality.
    """
    if difference is None:
        return Verdict.INCONCLUSIVE
    if difference.is_significant:
        return Verdict.WORSE
    is_within = margin is not None and difference.is_within(margin)
    return Verdict.EQUIVALENT if is_within else Verdict.INCONCLUSIVE


def labels(variants: Sequence[Variant]) -> list[str]:
    """Returns a label for each variant that distinguishes it, such as `act=relu, loss=mse`."""
    return [", ".join(parts) for parts in label_parts(variants)]


def label_parts(variants: Sequence[Variant], is_short: bool = False) -> list[list[str]]:
    """Returns the parts of each variant's label, such as `act=relu`.

    Args:
        variants: The variants; may be empty.
        is_short: Whether to shorten keys to their last name where that is unique.
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
    """Returns the last name of each key, or the full key where two keys end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: plain(name if last.count(name) == 1 else key)
        for key, name in zip(keys, last, strict=True)
    }


def _any_has(name: str, runs: Sequence[ComparedRun]) -> bool:
    return any(name in run.costs for run in runs)


def _cost(name: str, runs: Sequence[ComparedRun]) -> float:
    values = [run.costs[name] for run in runs if name in run.costs]
    # A machine has to have room for the largest run, not for the average one.
    return max(values) if name == "peak_memory" else fmean(values)
