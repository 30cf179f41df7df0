"""Notes on a comparison: how it was tested, and what limits its conclusions."""

from collections import Counter
from collections.abc import Sequence

from expt.analysis.compared_run import ComparedRun
from expt.analysis.findings import describe_findings
from expt.analysis.multiple import pooled_noise
from expt.analysis.replicates import replicate_of
from expt.analysis.separation import describe_separation
from expt.analysis.statistics import variance
from expt.analysis.variants import Variant, labels

# A ratio of standard deviations, which equal noise hardly ever exceeds, even with two seeds.
_MUCH_NOISIER = 5.0
_ROUNDING = 1e-12


def make_notes(
    runs: Sequence[ComparedRun],
    variants: Sequence[Variant],
    leading: str | None,
    replicates: Sequence[str],
) -> list[str]:
    """Returns the notes that apply to a comparison, one sentence or two each.

    Args:
        runs: All compared runs.
        variants: The variants, with their differences from the best.
        leading: The leading metric; None if there is none.
        replicates: The keys by which the runs of a variant differ.
    """
    measured = [variant for variant in variants if variant.counted]
    return [
        *_describe_tests(measured, replicates),
        *_describe_noise(measured, leading, replicates),
        *_describe_single_replicates(measured, replicates),
        *_describe_repeats(variants, replicates),
        *_describe_unfinished(runs),
        *describe_separation(variants),
        *describe_findings(runs),
        *_describe_commits(runs),
    ]


def join_names(names: Sequence[str]) -> str:
    """Joins names as in a sentence: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def repeats_text(replicates: Sequence[str]) -> str:
    """Returns what the runs of a variant differ by: `seeds`, or `values of data.split_seed`."""
    names = join_names(replicates)
    return "seeds" if names == "seed" else f"values of {names}"


def _describe_tests(measured: Sequence[Variant], replicates: Sequence[str]) -> list[str]:
    tests = {variant.difference.test for variant in measured if variant.difference}
    if not tests:
        return []
    count = sum(len(variant.counted) > 1 for variant in measured)
    names = {"paired": f"paired by {join_names(replicates)}", "Welch": "Welch's, unpaired"}
    used = " and ".join(names[test] for test in sorted(tests, reverse=True))
    if count == 2:
        return [f"The difference is tested with a t-test ({used}) at the 5 % level."]
    pairs = count * (count - 1) // 2
    return [
        f"The best of {count} was picked after seeing the data, so the p-values and 95 % intervals "
        f"are corrected for all {pairs:,} pairs (Holm). The noise is pooled over the table, and "
        f"each pair also has to pass its own t-test ({used}). Inconclusive does not mean equal."
    ]


def _describe_noise(
    measured: Sequence[Variant], leading: str | None, replicates: Sequence[str]
) -> list[str]:
    """Returns a note if there is no noise, or if one variant is much noisier than the others."""
    # The noise is pooled, so that one noisy variant hides the differences between the others.
    repeated = [v for v in measured if len(v.counted) > 1]
    if leading is None or len(repeated) < 3:
        return []
    groups = [variant.values(leading) for variant in repeated]
    if pooled_noise(groups) is None:
        return [
            "The replicates of each variant have equal values. Without any noise to measure, no "
            "difference can be tested."
        ]
    variances = [variance(list(group.values())) for group in groups]
    noisiest = max(range(len(groups)), key=variances.__getitem__)
    others = sorted(variances[:noisiest] + variances[noisiest + 1 :])
    middle = others[len(others) // 2]
    if variances[noisiest] <= _MUCH_NOISIER**2 * middle:
        return []
    name = labels(repeated)[noisiest] or "One variant"
    # The variance of equal values is that of rounding errors, relative to the largest value.
    largest = max(abs(value) for group in groups for value in group.values())
    if middle <= (_ROUNDING * largest) ** 2:
        how = f"is the only one that differs between {repeats_text(replicates)}"
    else:
        ratio = (variances[noisiest] / middle) ** 0.5
        how = f"varies {ratio:,.0f} times as much as a typical variant"
    return [
        f"{name} {how}, which widens all intervals. Without it, the comparison of the others would "
        "be more precise."
    ]


def _describe_single_replicates(
    measured: Sequence[Variant], replicates: Sequence[str]
) -> list[str]:
    if len(measured) < 2 or all(len(variant.counted) > 1 for variant in measured):
        return []
    return [
        f"A variant with a single value of {join_names(replicates)} has no measurable noise, so "
        "it is compared without a test."
    ]


def _describe_repeats(variants: Sequence[Variant], replicates: Sequence[str]) -> list[str]:
    finished = [
        [replicate_of(run, replicates) for run in variant.runs if run.status == "FINISHED"]
        for variant in variants
    ]
    repeats = sum(len(names) - len(set(names)) for names in finished)
    if not repeats:
        return []
    verb = "run repeats" if repeats == 1 else "runs repeat"
    return [
        f"{repeats} {verb} the {join_names(replicates)} of another run of the same variant; only "
        "the newest of each counts."
    ]


def _describe_unfinished(runs: Sequence[ComparedRun]) -> list[str]:
    counts = Counter(run.status for run in runs if run.status != "FINISHED")
    text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return [f"Not included in the means: {text}."] if text else []


def _describe_commits(runs: Sequence[ComparedRun]) -> list[str]:
    commits = {run.commit for run in runs if run.commit is not None}
    if len(commits) < 2:
        return []
    return [f"The runs come from {len(commits)} versions of the code (git)."]
