"""What a reader of a comparison should know, a sentence each."""

from collections import Counter
from collections.abc import Sequence

from expt.analysis.multiple import pooled_noise
from expt.analysis.reading import ComparedRun
from expt.analysis.replicates import replicate_of
from expt.analysis.statistics import variance
from expt.analysis.variants import Variant, labels

_MUCH_NOISIER = 5.0  # in standard deviations; chance hardly ever makes as much of two seeds


def make_notes(
    runs: Sequence[ComparedRun],
    variants: Sequence[Variant],
    leading: str | None,
    replicates: Sequence[str],
) -> list[str]:
    """Returns what holds of these runs."""
    measured = [variant for variant in variants if variant.counted]
    return [
        *_on_tests(measured, replicates),
        *_on_noise(measured, leading),
        *_on_single_replicates(measured, replicates),
        *_on_repeats(variants, replicates),
        *_on_unfinished(runs),
        *_on_code(runs),
    ]


def joined(names: Sequence[str]) -> str:
    """Returns names as a person lists them: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _on_tests(measured: Sequence[Variant], replicates: Sequence[str]) -> list[str]:
    tests = {variant.difference.test for variant in measured if variant.difference}
    if not tests:
        return []
    count = sum(len(variant.counted) > 1 for variant in measured)
    names = {"paired": f"paired by {joined(replicates)}", "Welch": "Welch's, unpaired"}
    used = " and ".join(names[test] for test in sorted(tests, reverse=True))
    if count == 2:
        return [f"The difference is tested by a t-test ({used}) at 5 %."]
    pairs = count * (count - 1) // 2
    return [
        f"The best of {count} was picked after seeing the data: p and the 95 % intervals are "
        f"corrected for all {pairs:,} pairs (Holm), with the noise pooled over the table and "
        f"t-tests of each pair ({used}). Inconclusive does not mean the same."
    ]


def _on_noise(measured: Sequence[Variant], leading: str | None) -> list[str]:
    """One noisy variant hides the differences of the others, since the noise is pooled."""
    repeated = [v for v in measured if len(v.counted) > 1]
    if leading is None or len(repeated) < 3:
        return []
    groups = [variant.values(leading) for variant in repeated]
    if pooled_noise(groups) is None:
        return [
            "The replicates of each variant are equal: without any noise to measure, nothing is "
            "tested."
        ]
    variances = [variance(list(group.values())) for group in groups]
    noisiest = max(range(len(groups)), key=variances.__getitem__)
    others = sorted(variances[:noisiest] + variances[noisiest + 1 :])
    middle = others[len(others) // 2]
    if variances[noisiest] <= _MUCH_NOISIER**2 * middle:
        return []
    name = labels(repeated)[noisiest] or "One variant"
    much = f"{(variances[noisiest] / middle) ** 0.5:,.0f}" if middle else "infinitely many"
    return [
        f"{name} varies {much} times as much as most others, which widens all intervals: without "
        "it the others compare more precisely."
    ]


def _on_single_replicates(measured: Sequence[Variant], replicates: Sequence[str]) -> list[str]:
    if len(measured) < 2 or all(len(variant.counted) > 1 for variant in measured):
        return []
    return [
        f"A variant with a single value of {joined(replicates)} shows no noise: it is compared "
        "without a test."
    ]


def _on_repeats(variants: Sequence[Variant], replicates: Sequence[str]) -> list[str]:
    finished = [
        [replicate_of(run, replicates) for run in variant.runs if run.status == "FINISHED"]
        for variant in variants
    ]
    repeats = sum(len(names) - len(set(names)) for names in finished)
    if not repeats:
        return []
    verb = "run repeats" if repeats == 1 else "runs repeat"
    return [
        f"{repeats} {verb} the {joined(replicates)} of another one of the same variant; the newest "
        "of each counts."
    ]


def _on_unfinished(runs: Sequence[ComparedRun]) -> list[str]:
    counts = Counter(run.status for run in runs if run.status != "FINISHED")
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return [f"Not in the means: {told}."] if told else []


def _on_code(runs: Sequence[ComparedRun]) -> list[str]:
    commits = {run.commit for run in runs if run.commit is not None}
    if len(commits) < 2:
        return []
    return [f"The runs come from {len(commits)} states of the code (git)."]
