"""The comparison of runs: variants, what varies between them, and the metric that decides."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from expt.analysis.code_labels import label_code
from expt.analysis.compared_run import BEST, ComparedRun
from expt.analysis.notes import make_notes
from expt.analysis.replicates import DEFAULT_REPLICATES, check_replicates, variant_of
from expt.analysis.variants import COSTS, Variant, judge, make_variant
from expt.analysis.varying import varying_parameters
from expt.errors import UserError, hint
from expt.runs.leading import choose_metric, is_metric_larger_better


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of a comparison of runs.

    Attributes:
        parameters: The keys of the parameters that vary between variants.
        leading: The leading metric, the one that decides; None if no run has a metric.
        larger_is_better: The names of the metrics for which larger values are better.
        metrics: The names of all metrics, the leading one first.
        variants: The variants in the requested order, best first by default.
        unfinished: The runs that are not FINISHED.
        num_runs: The number of compared runs.
        replicates: The keys by which the runs of a variant differ.
        margin: The largest difference that does not matter in practice; None if not given.
        notes: Notes for the reader; see `notes.make_notes`.
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
        """The best variant; None if no run has a metric."""
        return next((variant for variant in self.variants if variant.is_best), None)

    @property
    def measured(self) -> Sequence[Variant]:
        """The variants that have the leading metric; all if there is none."""
        return [v for v in self.variants if v.counted or self.leading is None]


def measured_only(comparison: Comparison) -> Comparison:
    """Removes the variants without the leading metric, and adds a note with their number."""
    measured = comparison.measured
    left_out = len(comparison.variants) - len(measured)
    if not left_out:
        return comparison
    note = (
        f"{left_out} more {'variant has' if left_out == 1 else 'variants have'} no finished run "
        f"with {comparison.leading} and {'is' if left_out == 1 else 'are'} left out."
    )
    # A parameter may have varied only because of the removed variants.
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
        runs: At least one run.
        leading: The metric that decides: `val/accuracy` is the last value, `best/val/accuracy` that
            of the best checkpoint. None selects the monitored metric of the best checkpoint; if
            that is a loss and the runs have different losses, another metric of it.
        sort: The column to sort by: a metric, a parameter, or a cost; None for the leading metric.
        notes: Further notes for the reader.
        replicates: The keys by which the runs of a variant differ.
        margin: The largest difference in the leading metric that does not matter in practice.

    Raises:
        UserError: There is no such metric, column or parameter.
    """
    larger = frozenset(name for run in runs for name in run.larger_is_better)
    known = sorted({name for run in runs for name in run.metrics})
    if leading is not None and leading not in known:
        raise UserError(f"--metric {leading}: no run has this metric. {hint(leading, known)}")
    check_replicates(runs, replicates)
    runs, code_notes = label_code(runs)
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        # Runs that can't be read, or never started, have no variant; they are only listed.
        if variant := variant_of(run, replicates):
            groups.setdefault(variant, []).append(run)
    parameters = varying_parameters(list(groups.values()), replicates)
    all_notes = list[str]()
    if leading is None:
        leading, note = _default_leading(runs, known, parameters)
        all_notes += [note] if note else []
    variants = [make_variant(group, parameters, leading, replicates) for group in groups.values()]
    metrics = _order(known, leading)
    judge(variants, leading, larger, margin)
    variants = _sorted(variants, sort, leading, larger, parameters, known)
    all_notes += [*make_notes(runs, variants, leading, replicates), *code_notes, *notes]
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
        notes=all_notes,
    )


def _default_leading(
    runs: Sequence[ComparedRun], known: Sequence[str], parameters: Sequence[str]
) -> tuple[str | None, str | None]:
    """Returns the metric that decides by default, and a note if the reader should know why."""
    counts = Counter(run.monitor for run in runs if run.monitor and BEST + run.monitor in known)
    # Without an evaluation there is no best checkpoint; last values are all that can be compared.
    if not counts:
        monitored = [run.monitor for run in runs if run.monitor in known]
        return next(iter([*monitored, *known]), None), None
    ((monitor, _),) = counts.most_common(1)
    losses_differ = any(key == "loss" or key.startswith("loss.") for key in parameters)
    best = [m.removeprefix(BEST) for run in runs for m in run.metrics if m.startswith(BEST)]
    leading = choose_metric(best, (run.monitor for run in runs), losses_differ)
    assert leading is not None  # at least the monitored metric exists
    # A cross-entropy of 0.1 is no better or worse than a squared error of 0.2.
    if losses_differ and monitor.endswith("/loss"):
        note = f"{monitor} is not comparable between different losses"
        if leading == monitor:
            return BEST + leading, f"{note}."
        return (
            BEST + leading,
            f"{note}, so {BEST}{leading} decides; to choose another metric, use --metric.",
        )
    if len(counts) > 1:
        note = f"The runs monitor different metrics: {', '.join(sorted(counts))}."
        return BEST + leading, note
    return BEST + leading, None


def _order(metrics: Sequence[str], leading: str | None) -> list[str]:
    """Orders metrics: the leading one, its other values, then test, validation and training."""
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
    """Sorts variants: by a metric best first, by a parameter or cost in ascending order.

    The speed is a cost of which more is better, so it descends. Variants without a value come last.

    Raises:
        UserError: There is no such column.
    """
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

    descending = column == "steps_per_s" or (
        column in known and is_metric_larger_better(column, larger)
    )

    # Numbers and texts can't be compared with each other: numbers come first.
    def key(variant: Variant) -> tuple[int, float, str]:
        found = value(variant)
        if isinstance(found, int | float):
            return 0, -found if descending else found, ""
        return (2, 0.0, "") if found is None else (1, 0.0, str(found))

    return sorted(variants, key=key)
