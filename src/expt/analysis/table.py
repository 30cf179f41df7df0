"""The comparison itself: runs grouped by variant, with only what varies between them."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from expt.analysis.code import label_code
from expt.analysis.notes import make_notes
from expt.analysis.reading import BEST, ComparedRun
from expt.analysis.replicates import DEFAULT_REPLICATES, check_replicates, variant_of
from expt.analysis.variants import COSTS, Variant, judge, make_variant
from expt.analysis.varying import varying_parameters
from expt.errors import UserError, hint
from expt.runs.leading import decisive_metric, is_larger_better


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
        replicates: The keys by which the runs of a variant differ.
        margin: The difference that is of no practical importance; None if none was given.
        notes: What a reader should know, a sentence each.
    """

    parameters: Sequence[str]
    leading: str | None
    larger_is_better: frozenset[str]
    metrics: Sequence[str]
    variants: Sequence[Variant]
    unfinished: Sequence[ComparedRun]
    num_runs: int
    replicates: Sequence[str] = DEFAULT_REPLICATES
    margin: float | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def best(self) -> Variant | None:
        """The best variant."""
        return next((variant for variant in self.variants if variant.is_best), None)

    @property
    def measured(self) -> Sequence[Variant]:
        """The variants that have the leading metric; all if there is none."""
        return [v for v in self.variants if v.counted or self.leading is None]


def measured_only(comparison: Comparison) -> Comparison:
    """Leaves out the variants without the leading metric, and adds a note of how many they are."""
    measured = comparison.measured
    left_out = len(comparison.variants) - len(measured)
    if not left_out:
        return comparison
    note = (
        f"{left_out} more {'variant has' if left_out == 1 else 'variants have'} no finished run "
        f"with {comparison.leading} and {'is' if left_out == 1 else 'are'} left out."
    )
    parameters = [
        key
        for key in comparison.parameters
        if any(variant.params[key] != measured[0].params[key] for variant in measured)
    ]
    return replace(
        comparison,
        variants=measured,
        parameters=parameters,
        notes=[*comparison.notes, note],
    )


def compare(
    runs: Sequence[ComparedRun],
    leading: str | None = None,
    sort: str | None = None,
    notes: Sequence[str] = (),
    *,
    replicates: Sequence[str] = DEFAULT_REPLICATES,
    margin: float | None = None,
) -> Comparison:
    """Compares runs.

    Args:
        runs: At least one.
        leading: The metric that decides, such as `val/accuracy`, its last value, or
            `best/val/accuracy`, that of the kept model. None is the kept model's watched metric;
            if that is a loss and the runs have different losses, the first other metric.
        sort: A column to sort by: a metric, a parameter, or a cost; None is the leading metric.
        notes: What else a reader should know.
        replicates: The keys by which the runs of a variant differ.
        margin: The difference in the leading metric that is of no practical importance.

    Raises:
        UserError: There is no such metric, column or key.
    """
    larger = frozenset(name for run in runs for name in run.larger_is_better)
    known = sorted({name for run in runs for name in run.metrics})
    if leading is not None and leading not in known:
        raise UserError(f"--metric {leading}: no run has this metric. {hint(leading, known)}")
    check_replicates(runs, replicates)
    runs, on_code = label_code(runs)
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        if variant := variant_of(run, replicates):
            groups.setdefault(variant, []).append(run)
    parameters = varying_parameters(list(groups.values()), replicates)
    told = list[str]()
    if leading is None:
        leading, note = _default_leading(runs, known, parameters)
        told += [note] if note else []
    variants = [make_variant(group, parameters, leading, replicates) for group in groups.values()]
    metrics = _order(known, leading)
    judge(variants, leading, larger, margin)
    variants = _sorted(variants, sort, leading, larger, parameters, known)
    told += [*make_notes(runs, variants, leading, replicates), *on_code, *notes]
    return Comparison(
        parameters=parameters,
        leading=leading,
        larger_is_better=larger,
        metrics=metrics,
        variants=variants,
        unfinished=[run for run in runs if run.status != "FINISHED"],
        num_runs=len(runs),
        replicates=tuple(replicates),
        margin=margin,
        notes=told,
    )


def _default_leading(
    runs: Sequence[ComparedRun], known: Sequence[str], parameters: Sequence[str]
) -> tuple[str | None, str | None]:
    """Returns the watched metric, and a note if another one leads in its stead."""
    counts = Counter(run.watched for run in runs if run.watched and BEST + run.watched in known)
    if not counts:  # nothing has been evaluated, or kept
        watched_now = [run.watched for run in runs if run.watched in known]
        return next(iter([*watched_now, *known]), None), None
    ((watched, _),) = counts.most_common(1)
    losses_differ = any(key == "loss" or key.startswith("loss.") for key in parameters)
    best = [m.removeprefix(BEST) for run in runs for m in run.metrics if m.startswith(BEST)]
    leading = decisive_metric(best, (run.watched for run in runs), losses_differ)
    assert leading is not None  # there is the watched one at least
    if losses_differ and watched.endswith("/loss"):
        note = f"{watched} is not the same quantity for different losses"
        if leading == watched:
            return BEST + leading, f"{note}."
        return BEST + leading, f"{note}, so {BEST}{leading} leads; --metric chooses another one."
    if len(counts) > 1:
        note = f"The runs watch different metrics: {', '.join(sorted(counts))}."
        return BEST + leading, note
    return BEST + leading, None


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
    larger: Collection[str],
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
