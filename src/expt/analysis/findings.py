"""The findings of the training doctor in compared runs, by variant."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from expt.analysis.compared_run import ComparedRun
from expt.analysis.values import plain
from expt.analysis.variants import Variant, labels


@dataclass(frozen=True)
class FindingRow:
    """A rule that found something in runs of a variant.

    Attributes:
        variant: The name of the variant; empty if there is only one.
        rule: The name of the rule.
        message: The message of the first run in which it was found.
        step: The step of that finding; None if it holds for the whole run.
        remedy: The override to try; empty if there is none.
        source: The publication on the fault.
        runs: In how many of the variant's runs it was found, such as `2 of 3`.
    """

    variant: str
    rule: str
    message: str
    step: int | None
    remedy: str
    source: str
    runs: str


def finding_rows(variants: Sequence[Variant]) -> list[FindingRow]:
    """Returns the findings, in the order of the variants and of the rules."""
    rows = []
    for variant, label in zip(variants, labels(variants), strict=True):
        # A rule may find something more than once in a run; a run counts once, with the first.
        firsts = [{one.rule: one for one in reversed(run.findings)} for run in variant.runs]
        counts = Counter(rule for first in firsts for rule in first)
        for rule in dict.fromkeys(one.rule for run in variant.runs for one in run.findings):
            finding = next(first[rule] for first in firsts if rule in first)
            rows.append(
                FindingRow(
                    variant=label,
                    rule=plain(rule),
                    message=plain(finding.message),
                    step=finding.step,
                    remedy=plain(finding.remedy or ""),
                    source=plain(finding.source or ""),
                    runs=f"{counts[rule]} of {len(variant.runs)}",
                )
            )
    return rows


def describe_findings(runs: Sequence[ComparedRun]) -> list[str]:
    """Returns a note with the rules that found something; none if there is nothing."""
    counts = Counter(rule for run in runs for rule in {one.rule for one in run.findings})
    if not counts:
        return []
    named = ", ".join(
        f"{plain(rule)} ({count} {'run' if count == 1 else 'runs'})"
        for rule, count in counts.most_common()
    )
    return [f"The training doctor found {named}; the report of --html has the details."]
