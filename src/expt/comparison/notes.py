"""What a reader of a comparison should know, a sentence each."""

from collections import Counter
from collections.abc import Sequence

from expt.comparison.reading import ComparedRun
from expt.comparison.variants import Variant

WELCH_MARK = "†"
"""What marks a test that is not paired by seed."""


def make_notes(runs: Sequence[ComparedRun], variants: Sequence[Variant]) -> list[str]:
    """Returns what holds of these runs."""
    return [
        *_on_tests(variants),
        *_on_repeats(variants),
        *_on_unfinished(runs),
        *_on_code(runs),
    ]


def _on_tests(variants: Sequence[Variant]) -> list[str]:
    notes = []
    tests = {variant.difference.test for variant in variants if variant.difference}
    if tests:
        names = {"paired": "paired by seed", "Welch": f"{WELCH_MARK} Welch's, unpaired"}
        used = ", ".join(names[test] for test in sorted(tests, reverse=True))
        notes.append(
            f"Against the best: t-tests ({used}), each at 5 % for itself; within noise means that "
            "the difference is not significant."
        )
    if any(len(variant.counted) == 1 for variant in variants):
        notes.append("Of a single seed it can't be told whether it differs by more than chance.")
    return notes


def _on_repeats(variants: Sequence[Variant]) -> list[str]:
    finished = [[r.seed for r in v.runs if r.status == "FINISHED"] for v in variants]
    repeats = sum(len(seeds) - len(set(seeds)) for seeds in finished)
    if not repeats:
        return []
    return [f"{repeats} runs repeat a seed of their variant; the newest of each counts."]


def _on_unfinished(runs: Sequence[ComparedRun]) -> list[str]:
    counts = Counter(run.status for run in runs if run.status != "FINISHED")
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return [f"Not in the means: {told}."] if told else []


def _on_code(runs: Sequence[ComparedRun]) -> list[str]:
    commits = {run.commit for run in runs if run.commit is not None}
    if len(commits) < 2:
        return []
    return [f"The runs come from {len(commits)} states of the code (git)."]
