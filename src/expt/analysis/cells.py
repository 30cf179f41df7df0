"""The columns of the comparison table as text, shared by the terminal, Markdown and the report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from expt.analysis.compared_run import BEST
from expt.analysis.multiple import Difference
from expt.analysis.statistics import MetricSummary
from expt.analysis.table import Comparison
from expt.analysis.values import as_text, bytes_text, decimals, plain, shortened
from expt.analysis.variants import COSTS, Variant
from expt.parts.numbers import is_number
from expt.record.values import format_seconds

BEST_MARK = "★"
MISSING = "–"

# The last training metrics are of a single batch, too noisy to compare; CSV and JSON have them.
_NOT_SHOWN = "train/"


@dataclass(frozen=True)
class TableColumn:
    """A column of the table.

    Attributes:
        title: The heading.
        cells: One text per variant.
        numbers: The sort keys, one per variant; None to sort by the cells.
        is_text: Whether the column is aligned to the left, as text is.
        importance: The rank of the column where space is limited: columns with large numbers are
            dropped first, a column of importance 0 never.
    """

    title: str
    cells: Sequence[str]
    numbers: Sequence[float | None] | None = None
    is_text: bool = False
    importance: int = 0


def columns(comparison: Comparison) -> list[TableColumn]:
    """Returns all columns in display order, with one row per variant."""
    variants = comparison.variants
    return [
        TableColumn(
            "", [BEST_MARK if variant.is_best else "" for variant in variants], is_text=True
        ),
        *(_parameter(key, variants) for key in comparison.parameters),
        *results(comparison, variants),
    ]


def results(comparison: Comparison, variants: Sequence[Variant]) -> list[TableColumn]:
    """Returns the columns of the results of some variants: metrics, tests and costs."""
    found, leading = list[TableColumn](), comparison.leading
    if leading is not None:
        found += _leading(comparison, variants, leading)
        others = [name for name in comparison.metrics[1:] if not name.startswith(_NOT_SHOWN)]
        # Kept longer than other metrics: a gap between best and last value may be overfitting.
        same = [name for name in others if name.removeprefix(BEST) == leading.removeprefix(BEST)]
        for rank, name in enumerate(others):
            importance = 5 if name in same else 7 if name.startswith("test/") else 11 + rank
            found.append(_metric(name, variants, importance))
    texts: Mapping[str, tuple[Callable[[float], str], int]] = {
        "steps_per_s": (lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", 8),
        "seconds": (format_seconds, 6),
        "parameters": (lambda value: f"{value:,.0f}", 9),
        "peak_memory": (bytes_text, 10),
    }
    for name, (text, importance) in texts.items():
        numbers = [variant.costs.get(name) for variant in variants]
        if any(number is not None for number in numbers):
            cells = [MISSING if number is None else text(number) for number in numbers]
            found.append(TableColumn(COSTS[name], cells, numbers, importance=importance))
    return found


def metric_title(name: str) -> str:
    """Returns a metric's name as a heading, such as `best val/loss` for the best checkpoint's."""
    return plain(f"best {name.removeprefix(BEST)}" if name.startswith(BEST) else name)


def p_text(p: float) -> str:
    """Returns a p-value for use in a sentence, such as `p = 0.013` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {_p_digits(p)}"


def _p_digits(p: float) -> str:
    """Returns the digits of a p-value."""
    if p < 0.001:
        return "<0.001"
    if p >= 0.1:
        return f"{p:.2f}"
    # 0.0496 and 0.0504 are on different sides of the level of the test; neither may read 0.050.
    return f"{p:.3f}" if f"{p:.3f}" != "0.050" else f"{p:.4f}"


def count_text(variant: Variant) -> str:
    """Returns the number of counted runs, such as `3`, or `2/3` if one of three does not count."""
    counted, whole = len(variant.counted), len(variant.runs)
    return str(counted) if counted == whole else f"{counted}/{whole}"


def _parameter(key: str, variants: Sequence[Variant]) -> TableColumn:
    values = [variant.params[key] for variant in variants]
    numbers = None
    if all(is_number(value) for value in values):
        numbers = values
    cells = [MISSING if value is None else shortened(as_text(value)) for value in values]
    return TableColumn(plain(key), cells, numbers, is_text=numbers is None)


def _leading(
    comparison: Comparison, variants: Sequence[Variant], leading: str
) -> list[TableColumn]:
    summaries = [variant.summaries.get(leading) for variant in variants]
    deviations = [None if one is None else one.deviation for one in summaries]
    places = decimals([one.mean for one in summaries if one is not None])
    return [
        TableColumn(
            f"{metric_title(leading)}, mean ± 95 %",
            [MISSING if one is None else _with_interval(one, places) for one in summaries],
            [None if one is None else one.mean for one in summaries],
        ),
        TableColumn(
            "std",
            [MISSING if one is None else f"{one:.{places}f}" for one in deviations],
            deviations,
            importance=4,
        ),
        TableColumn(
            "n",
            [count_text(v) for v in variants],
            [len(v.counted) for v in variants],
            importance=3,
        ),
        *_against_best(comparison, variants, leading, places),
    ]


def _against_best(
    comparison: Comparison, variants: Sequence[Variant], leading: str, places: int
) -> list[TableColumn]:
    found = [variant.difference for variant in variants]
    corrected = [None if one is None else one.corrected for one in found]
    values = [_difference_value(comparison, variant, leading) for variant in variants]
    num_tested = sum(variant.difference is not None for variant in comparison.variants)
    return [
        TableColumn(
            "difference ± 95 %" if num_tested else "difference",
            [
                MISSING if value is None else _difference_text(value, variant.difference, places)
                for value, variant in zip(values, variants, strict=True)
            ],
            values,
            importance=1,
        ),
        TableColumn(
            # Two variants are one pair, whose p-value needs no correction.
            "p, Holm" if num_tested > 1 else "p",
            [MISSING if p is None else _p_digits(p) for p in corrected],
            corrected,
            importance=2,
        ),
        TableColumn("verdict", [variant.verdict or MISSING for variant in variants], is_text=True),
    ]


def _difference_value(comparison: Comparison, variant: Variant, leading: str) -> float | None:
    """Returns a mean minus that of the best variant; None for the best one, or without a mean."""
    best = comparison.best
    if best is None or variant is best or leading not in variant.summaries:
        return None
    return variant.summaries[leading].mean - best.summaries[leading].mean


def _difference_text(value: float, tested: Difference | None, places: int) -> str:
    """Returns a difference, with its interval if it was tested, such as `-0.0046 ± 0.0034`."""
    text = f"{value:+.{places}f}"
    return text if tested is None else f"{text} ± {tested.half_width:.{places}f}"


def _with_interval(summary: MetricSummary, places: int) -> str:
    text = f"{summary.mean:.{places}f}"
    if summary.half_width is None:
        return text
    return f"{text} ± {summary.half_width:.{places}f}"


def _metric(name: str, variants: Sequence[Variant], importance: int) -> TableColumn:
    summaries = [variant.summaries.get(name) for variant in variants]
    means = [None if one is None else one.mean for one in summaries]
    places = decimals([mean for mean in means if mean is not None])
    cells = [MISSING if mean is None else f"{mean:.{places}f}" for mean in means]
    return TableColumn(metric_title(name), cells, means, importance=importance)
