"""The result of a comparison in a few sentences."""

import math
from collections.abc import Mapping, Sequence

from expt.analysis.cells import p_text
from expt.analysis.compared_run import BEST
from expt.analysis.notes import join_names, repeats_text
from expt.analysis.replicates import FINGERPRINT, replicate_of
from expt.analysis.table import Comparison
from expt.analysis.values import as_text, decimals, plain
from expt.analysis.variants import Variant, Verdict, short_names
from expt.runs.leading import is_metric_larger_better

_DATA = {"data", "data.path", "data.target"}
_LONGEST = 70  # characters of a variant's name


def headline(comparison: Comparison) -> str:
    """Returns sentences on which variant is best, by how much, and how certain that is."""
    best, leading = comparison.best, comparison.leading
    if leading is None or best is None:
        return "No finished run has a metric to compare."
    title = leading.removeprefix(BEST)
    title = plain(title) + (" (best checkpoint)" if title != leading else "")
    others = [variant for variant in comparison.measured if variant is not best]
    places = decimals([variant.summaries[leading].mean for variant in comparison.measured])
    mean, count = _mean(best, leading, places), len(best.counted)
    if not others:
        return f"One variant: {title} {mean}, n = {count}."
    extreme = (
        "highest" if is_metric_larger_better(leading, comparison.larger_is_better) else "lowest"
    )
    name = _name(best, others[0], others)
    start = f"{_warning(comparison)}{name} has the {extreme} {title}: {mean} (n = {count})."
    if all(variant.difference is None for variant in others):
        return (
            f"{start} Whether it is better than the others is unknown: a test needs at least two "
            f"{repeats_text(comparison.replicates)} for each variant, and some spread between them."
        )
    value = best.summaries[leading].mean
    nearest = min(others, key=lambda one: abs(one.summaries[leading].mean - value))
    gap = _gap(nearest, best, leading, places)
    describe = _describe_one if len(others) == 1 else _describe_several
    rest = [variant for variant in comparison.measured if variant is not nearest]
    return f"{start} {describe(comparison, others, _name(nearest, best, rest), gap)}"


def _warning(comparison: Comparison) -> str:
    """Returns the start of a sentence that warns of different data, or an empty text."""
    # Variants with different data are still tested, but their metrics are not comparable.
    varied = [key for key in comparison.parameters if key == "data" or key.startswith("data.")]
    if not _DATA & set(varied) and not _has_different_data(comparison):
        return ""
    keys = [key for key in varied if key != "data.batch_size"]  # not part of the data
    how = "data=NAME selects one data set"
    if "data" not in varied:
        names = join_names(keys or [FINGERPRINT])
        how = f"{names} {'varies' if len(keys) < 2 else 'vary'}"
    return f"Not comparable, because the runs used different data ({how}): "


def _has_different_data(comparison: Comparison) -> bool:
    """Whether runs that should have the same data have other fingerprints."""
    # With --replicates data.split_seed, the replicates of each variant differ in their data.
    keys = [key for key in comparison.replicates if key.startswith("data.")]
    found: dict[tuple[str, ...], set[object]] = {}
    for run in (run for variant in comparison.measured for run in variant.counted):
        found.setdefault(replicate_of(run, keys), set()).add(run.params.get(FINGERPRINT))
    # Older runs have no fingerprint.
    return any(len(fingerprints - {None}) > 1 for fingerprints in found.values())


def _describe_one(comparison: Comparison, others: Sequence[Variant], name: str, gap: str) -> str:
    return {
        Verdict.WORSE: f"{name} is significantly worse, {gap}.",
        Verdict.EQUIVALENT: f"{name} is equivalent within ±{comparison.margin}, {gap}.",
    }.get(others[0].verdict or Verdict.BEST, f"Inconclusive: {name} may be just as good, {gap}.")


def _describe_several(
    comparison: Comparison, others: Sequence[Variant], name: str, gap: str
) -> str:
    counts = {verdict: sum(one.verdict is verdict for one in others) for verdict in Verdict}
    unclear, worse = counts[Verdict.INCONCLUSIVE], counts[Verdict.WORSE]
    equivalent, untested = counts[Verdict.EQUIVALENT], counts[Verdict.NOT_TESTED]
    parts = []
    if unclear:
        all_or_some = "all" if unclear == len(others) else f"{unclear} of the"
        parts.append(f"inconclusive: {all_or_some} {len(others)} others may be just as good")
    if equivalent:
        verb = "is" if equivalent == 1 else "are"
        parts.append(f"{equivalent} {verb} equivalent within ±{comparison.margin}")
    if worse == len(others):
        parts.append(f"all {worse} others are significantly worse")
    elif worse:
        parts.append(f"{worse} {'is' if worse == 1 else 'are'} significantly worse")
    if untested:
        parts.append(f"{untested} {'is' if untested == 1 else 'are'} not tested")
    tested = 1 + sum(variant.difference is not None for variant in others)
    return (
        f"{_capital(', '.join(parts))}; the nearest is {name}, {gap}. The p-value and the interval "
        f"are corrected (Holm) for picking the best of {tested} after seeing the data."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _gap(variant: Variant, best: Variant, leading: str, places: int) -> str:
    """Returns the difference to the best variant with its interval and p-value.

    Examples are `0.0046 lower (95 % interval 0.0012 to 0.0080 lower, p = 0.013)` and
    `0.0049 lower (95 % interval 0.0383 lower to 0.0285 higher, p = 0.78)`.
    """
    means = variant.summaries[leading].mean, best.summaries[leading].mean
    # The mean of the same values in another order may differ in its last bit.
    value = 0.0 if math.isclose(*means, rel_tol=1e-12) else means[0] - means[1]
    # The means decide the number of decimals; a smaller difference would read "0.0000 lower".
    if value != 0 and round(abs(value), places) == 0:
        places = 1 - math.floor(math.log10(abs(value)))  # two significant digits
    text = f"{abs(value):.{places}f} {'lower' if value < 0 else 'higher'}" if value else "equal"
    found = variant.difference
    if found is None:
        return f"{text} (not tested)"
    low, high = f"{abs(found.low):.{places}f}", f"{abs(found.high):.{places}f}"
    if found.low < 0 < found.high:
        interval = f"{low} lower to {high} higher"
    elif found.high <= 0:
        interval = f"{high} to {low} lower"
    else:
        interval = f"{low} to {high} higher"
    return f"{text} (95 % interval {interval}, {p_text(found.corrected)})"


def _mean(variant: Variant, leading: str, places: int) -> str:
    summary = variant.summaries[leading]
    if summary.half_width is None:
        return f"{summary.mean:.{places}f}"
    return f"{summary.mean:.{places}f} ± {summary.half_width:.{places}f}"


def _name(variant: Variant, fallback: Variant, others: Sequence[Variant]) -> str:
    """Returns the values that distinguish a variant from others, such as `act=relu`.

    Args:
        variant: The variant to name.
        fallback: Another variant. If all distinguishing values of this one are None, it is named
            after the keys that only `fallback` has: `the variant without momentum`.
        others: The variants to distinguish it from.
    """
    keys = [
        key
        for key in variant.params
        if any(one.params[key] != variant.params[key] for one in others)
    ]
    names: Mapping[str, str] = short_names(keys)
    given = [key for key in keys if variant.params[key] is not None]
    text = " ".join(f"{names[key]}={as_text(variant.params[key])}" for key in given)
    if not text:
        lacking = " and ".join(names[key] for key in keys if fallback.params[key] is not None)
        text = f"the variant without {lacking}" if lacking else "the first of equal variants"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
