"""The comparison itself: runs grouped by variant, with only what varies between them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from expt.comparison.reading import BEST, ComparedRun
from expt.comparison.statistics import Difference, Summary, difference, summarize
from expt.comparison.varying import varying_parameters
from expt.errors import UserError, hint

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


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out of some runs.

    Attributes:
        parameters: The keys that vary.
        leading: The metric that decides; None if no run has any.
        larger_is_better: The names of the metrics of which larger values are better.
        metrics: The names of all metrics, the leading one first.
        variants: In the order asked for.
        unfinished: The runs that are not FINISHED.
        num_runs: How many runs there are.
        notes: What a reader should know, a sentence each.
    """

    parameters: Sequence[str]
    leading: str | None
    larger_is_better: frozenset[str]
    metrics: Sequence[str]
    variants: Sequence[Variant]
    unfinished: Sequence[ComparedRun]
    num_runs: int
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def best(self) -> Variant | None:
        """The best variant."""
        return next((variant for variant in self.variants if variant.is_best), None)


def compare(
    runs: Sequence[ComparedRun], leading: str | None = None, sort: str | None = None
) -> Comparison:
    """Compares runs.

    Args:
        runs: At least one.
        leading: The metric that decides, such as `val/accuracy`, its last value, or
            `best/val/accuracy`, that of the kept model. None is the kept model's watched metric;
            if that is a loss and the runs have different losses, the first other metric.
        sort: A column to sort by: a metric, a parameter, or a cost; None is the leading metric.

    Raises:
        UserError: There is no such metric or column.
    """
    larger = frozenset(name for run in runs for name in run.larger_is_better)
    known = sorted({name for run in runs for name in run.metrics})
    if leading is not None and leading not in known:
        raise UserError(f"--metric {leading}: no run has this metric. {hint(leading, known)}")
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        if run.variant:
            groups.setdefault(run.variant, []).append(run)
    parameters = varying_parameters(list(groups.values()))
    notes = []
    if leading is None:
        leading, note = _default_leading(runs, known, parameters)
        notes += [note] if note else []
    variants = [_variant(group, parameters, leading) for group in groups.values()]
    metrics = _order(known, leading)
    _mark(variants, leading, larger)
    variants = _sorted(variants, sort, leading, larger, parameters, known)
    notes += _notes(runs, variants)
    return Comparison(
        parameters=parameters,
        leading=leading,
        larger_is_better=larger,
        metrics=metrics,
        variants=variants,
        unfinished=[run for run in runs if run.status != "FINISHED"],
        num_runs=len(runs),
        notes=notes,
    )


def is_larger_better(metric: str, larger: Iterable[str]) -> bool:
    """Whether larger values of a metric, by its full name, are better."""
    plain = metric.removeprefix(BEST)
    return plain in larger or plain.rpartition("/")[2] in larger


def _default_leading(
    runs: Sequence[ComparedRun], known: Sequence[str], parameters: Sequence[str]
) -> tuple[str | None, str | None]:
    """Returns the watched metric, and a note if another one leads in its stead."""
    counts = Counter(run.watched for run in runs if run.watched and BEST + run.watched in known)
    if not counts:
        return next(iter(known), None), None
    ((watched, _),) = counts.most_common(1)
    losses_differ = any(key == "loss" or key.startswith("loss.") for key in parameters)
    if losses_differ and watched.endswith("/loss"):
        others = [m for run in runs for m in run.metrics if m.startswith(f"{BEST}val/")]
        other = next((name for name in others if not name.endswith("/loss")), None)
        if other is not None:
            return other, (
                f"{watched} is not the same quantity for different losses, so {other} leads; "
                "--metric chooses another one."
            )
        return BEST + watched, f"{watched} is not the same quantity for different losses."
    if len(counts) > 1:
        return BEST + watched, f"The runs watch different metrics: {', '.join(sorted(counts))}."
    return BEST + watched, None


def _variant(
    runs: Sequence[ComparedRun], parameters: Sequence[str], leading: str | None
) -> Variant:
    finished = [run for run in runs if run.status == "FINISHED"]
    newest: dict[int | None, ComparedRun] = {}
    for run in sorted(finished, key=lambda run: run.started):
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


def _have(name: str, runs: Sequence[ComparedRun]) -> bool:
    return any(name in run.costs for run in runs)


def _cost(name: str, runs: Sequence[ComparedRun]) -> float:
    values = [run.costs[name] for run in runs if name in run.costs]
    return max(values) if name == "peak_memory" else fmean(values)


def _mark(variants: Sequence[Variant], leading: str | None, larger: Iterable[str]) -> None:
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


def _order(metrics: Sequence[str], leading: str | None) -> list[str]:
    """The leading metric, then what is about the same, test, validation, train."""
    if leading is None:
        return []
    same = leading.removeprefix(BEST)
    splits = ("test/", f"{BEST}val/", "val/", "")

    def rank(name: str) -> tuple[bool, bool, int, str]:
        place = next(i for i, prefix in enumerate(splits) if name.startswith(prefix))
        return name != leading, name.removeprefix(BEST) != same, place, name

    return sorted(metrics, key=rank)


def _sorted(
    variants: list[Variant],
    sort: str | None,
    leading: str | None,
    larger: Iterable[str],
    parameters: Sequence[str],
    known: Sequence[str],
) -> list[Variant]:
    """Best first; parameters and costs ascend; what has no value comes last."""
    column = {title: name for name, title in COSTS.items()}.get(sort or "", sort) or leading
    if sort is not None and column not in {*parameters, *COSTS, *known}:
        valid = [*parameters, *COSTS.values(), *known]
        raise UserError(f"--sort {sort}: there is no such column. {hint(sort, valid)}")
    if column is None:
        return variants

    def value(variant: Variant) -> Any:
        if column in parameters:
            return variant.params[column]
        if column in COSTS:
            return variant.costs.get(column)
        return variant.summaries[column].mean if column in variant.summaries else None

    descending = column == "steps_per_s" or (column in known and is_larger_better(column, larger))

    def key(variant: Variant) -> tuple[int, float, str]:
        found = value(variant)
        if isinstance(found, int | float):
            return 0, -found if descending else found, ""
        return (2, 0.0, "") if found is None else (1, 0.0, str(found))

    return sorted(variants, key=key)


def _notes(runs: Sequence[ComparedRun], variants: Sequence[Variant]) -> list[str]:
    notes = []
    tests = {variant.difference.test for variant in variants if variant.difference}
    if tests:
        names = {"paired": "paired by seed", "Welch": "Welch's, where seeds are not the same"}
        used = " or ".join(names[test] for test in sorted(tests, reverse=True))
        notes.append(
            f"Against the best: t-tests ({used}), each at 5 % for itself; within noise means that "
            "the difference is not significant."
        )
    if any(len(variant.counted) == 1 for variant in variants):
        notes.append("Of a single seed it can't be told whether it differs by more than chance.")
    repeats = sum(
        len([run for run in variant.runs if run.status == "FINISHED"]) - len(
            {run.seed for run in variant.runs if run.status == "FINISHED"}
        )
        for variant in variants
    )
    if repeats:
        notes.append(f"{repeats} runs repeat a seed of their variant; the newest of each counts.")
    counts = Counter(run.status for run in runs if run.status != "FINISHED")
    if counts:
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        notes.append(f"Not in the means: {told}.")
    commits = {run.commit for run in runs if run.commit is not None}
    if len(commits) > 1:
        notes.append(f"The runs come from {len(commits)} states of the code (git).")
    return notes
