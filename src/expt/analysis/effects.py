"""The effect of each parameter with all other parameters equal.

Each parameter is analyzed as a randomized complete block design: its values are compared within
blocks of equal other parameters and replicates, with the tests of `expt.analysis.multiple`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expt.analysis.multiple import Difference, differences_to
from expt.analysis.statistics import MetricSummary, summarize
from expt.analysis.table import Comparison
from expt.analysis.values import as_text
from expt.analysis.variants import Verdict, verdict_on
from expt.parts.numbers import is_number
from expt.runs.leading import is_metric_larger_better


@dataclass(frozen=True, kw_only=True)
class Level:
    """One value of a parameter, a level in the terms of experimental design.

    Attributes:
        value: The value.
        summary: The summary of the leading metric over the blocks.
        difference: The difference from the best value, paired within blocks; None for the best
            value, and if no test is possible.
        verdict: The verdict on the value, such as `Verdict.BEST`.
    """

    value: Any
    summary: MetricSummary
    difference: Difference | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The effect of one parameter on the leading metric, all else being equal.

    A block is a combination of values of the other parameters and one replicate, such as a seed.
    Only complete blocks are used: those with a run for each value of the parameter. Otherwise, a
    value that was combined only with good values of the others would look better than it is.

    Attributes:
        key: The full key of the parameter.
        levels: The values of the parameter: numbers in ascending order, then strings.
        num_blocks: The number of complete blocks.
        num_left_out: The number of runs that are in no complete block.
    """

    key: str
    levels: Sequence[Level]
    num_blocks: int
    num_left_out: int

    @property
    def best(self) -> Level:
        """The value with the best mean."""
        return next(level for level in self.levels if level.verdict is Verdict.BEST)

    @property
    def span(self) -> float:
        """The distance between the means of the best and the worst value."""
        means = [level.summary.mean for level in self.levels]
        return max(means) - min(means)


_Blocks = Mapping[Hashable, float]


def effects(comparison: Comparison) -> list[Effect]:
    """Returns the effects of the parameters that vary, in descending order of their span.

    P-values and intervals are corrected for multiple testing over all pairs of values of all
    parameters. A parameter without a complete block is left out.
    """
    found = {}
    for key in comparison.parameters:
        groups = _groups(comparison, key)
        blocks = _complete(list(groups.values()))
        if len(groups) > 1 and blocks:
            found[key] = groups, blocks
    counts = {key: len(groups) * (len(groups) - 1) // 2 for key, (groups, _) in found.items()}
    # A reader looks for the smallest p-value in all charts of the report, so Holm's correction
    # covers the pairs of all of them.
    total = sum(counts.values())
    made = [
        _effect(comparison, key, groups, blocks, total - counts[key])
        for key, (groups, blocks) in found.items()
    ]
    return sorted(made, key=lambda effect: -effect.span)


def _groups(comparison: Comparison, key: str) -> dict[str, tuple[Any, _Blocks]]:
    """Returns each value of a parameter, keyed by its text, with the leading metric by block."""
    leading, found = comparison.leading, dict[str, tuple[Any, dict[Hashable, float]]]()
    if leading is None:
        return {}
    others = [other for other in comparison.parameters if other != key]
    for variant in comparison.measured:
        combination = tuple(as_text(variant.params[other]) for other in others)
        value = variant.params[key]
        _, blocks = found.setdefault(as_text(value), (value, {}))
        for replicate, number in variant.values(leading).items():
            blocks[combination, replicate] = number
    return dict(sorted(found.items(), key=lambda item: _sort_key(item[1][0])))


def _sort_key(value: Any) -> tuple[int, float, str]:
    if is_number(value):
        return 0, float(value), ""
    return 1, 0.0, as_text(value)


def _complete(groups: Sequence[tuple[Any, _Blocks]]) -> list[Hashable]:
    """Returns the blocks that have a run for each value."""
    if not groups:
        return []
    (_, first), *others = groups
    return [block for block in first if all(block in blocks for _, blocks in others)]


def _effect(
    comparison: Comparison,
    key: str,
    groups: Mapping[str, tuple[Any, _Blocks]],
    blocks: Sequence[Hashable],
    num_other_pairs: int,
) -> Effect:
    assert comparison.leading is not None
    kept = [{block: values[block] for block in blocks} for _, values in groups.values()]
    summaries = [summarize(list(values.values())) for values in kept]
    choose = (
        max if is_metric_larger_better(comparison.leading, comparison.larger_is_better) else min
    )
    best = choose(range(len(kept)), key=lambda index: summaries[index].mean)
    differences = differences_to(kept, best, num_other_pairs)
    levels = [
        Level(
            value=value,
            summary=summary,
            difference=difference,
            verdict=Verdict.BEST if index == best else verdict_on(difference, comparison.margin),
        )
        for index, ((value, _), summary, difference) in enumerate(
            zip(groups.values(), summaries, differences, strict=True)
        )
    ]
    num_runs = sum(len(values) for _, values in groups.values())
    return Effect(
        key=key,
        levels=levels,
        num_blocks=len(blocks),
        num_left_out=num_runs - len(blocks) * len(groups),
    )
