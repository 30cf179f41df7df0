"""The comparison as columns of text, which the terminal, Markdown and the page have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from expt.comparison.notes import WELCH_MARK
from expt.comparison.reading import BEST
from expt.comparison.statistics import Summary
from expt.comparison.table import Comparison
from expt.comparison.values import as_text, bytes_text, decimals, plain, seconds_text, shortened
from expt.comparison.variants import COSTS, Variant

BEST_MARK = "★"
MISSING = "–"

_NOT_SHOWN = "train/"  # of a single batch; files have them


@dataclass(frozen=True)
class Column:
    """A column of text.

    Attributes:
        title: What stands above it.
        cells: One a variant.
        numbers: What a reader may sort by; None for texts.
        is_text: Whether it is set flush left.
        importance: The smaller, the longer it is kept where there is little room; 0 is always.
    """

    title: str
    cells: Sequence[str]
    numbers: Sequence[float | None] | None = None
    is_text: bool = False
    importance: int = 0


def columns(comparison: Comparison) -> list[Column]:
    """Returns all columns, in the order in which they are shown."""
    variants, leading = comparison.variants, comparison.leading
    found = [
        Column("", [BEST_MARK if variant.is_best else "" for variant in variants], is_text=True),
        *(_parameter(key, variants) for key in comparison.parameters),
    ]
    if leading is not None:
        found += _leading(comparison, leading)
        others = [name for name in comparison.metrics[1:] if not name.startswith(_NOT_SHOWN)]
        same = [name for name in others if name.removeprefix(BEST) == leading.removeprefix(BEST)]
        for rank, name in enumerate(others):
            importance = 3 if name in same else 5 if name.startswith("test/") else 9 + rank
            found.append(_metric(name, variants, importance))
    texts: Mapping[str, tuple[Callable[[float], str], int]] = {
        "steps_per_s": (lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", 6),
        "seconds": (seconds_text, 4),
        "parameters": (lambda value: f"{value:,.0f}", 7),
        "peak_memory": (bytes_text, 8),
    }
    for name, (text, importance) in texts.items():
        numbers = [variant.costs.get(name) for variant in variants]
        if any(number is not None for number in numbers):
            cells = [MISSING if number is None else text(number) for number in numbers]
            found.append(Column(COSTS[name], cells, numbers, importance=importance))
    return found


def metric_title(name: str) -> str:
    """Returns a metric's name as a heading: `best val/loss` for that of the kept model."""
    return plain(f"best {name.removeprefix(BEST)}" if name.startswith(BEST) else name)


def verdict(variant: Variant) -> str:
    """Returns how a variant stands against the best one, in a few words."""
    if variant.is_best:
        return "the best"
    if not variant.counted:
        return MISSING
    found = variant.difference
    if found is None:
        return "can't be told"
    p = (
        "p < 0.001"
        if found.p < 0.001
        else f"p {found.p:.3f}"
        if found.p < 0.1
        else f"p {found.p:.2f}"
    )
    mark = "" if found.test == "paired" else f" {WELCH_MARK}"
    return f"{'within noise' if found.is_noise else 'worse'} {p}{mark}"


def count_text(variant: Variant) -> str:
    """Returns how many runs count, and of how many if not all do."""
    counted, whole = len(variant.counted), len(variant.runs)
    return str(counted) if counted == whole else f"{counted}/{whole}"


def _parameter(key: str, variants: Sequence[Variant]) -> Column:
    values = [variant.params[key] for variant in variants]
    numbers = None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = values
    cells = [MISSING if value is None else shortened(as_text(value)) for value in values]
    return Column(plain(key), cells, numbers, is_text=numbers is None)


def _leading(comparison: Comparison, leading: str) -> list[Column]:
    variants = comparison.variants
    summaries = [variant.summaries.get(leading) for variant in variants]
    deviations = [None if one is None else one.deviation for one in summaries]
    places = decimals([one.mean for one in summaries if one is not None])
    return [
        Column(
            f"{metric_title(leading)}, mean ± 95 %",
            [MISSING if one is None else _with_interval(one, places) for one in summaries],
            [None if one is None else one.mean for one in summaries],
        ),
        Column(
            "std",
            [MISSING if one is None else f"{one:.{places}f}" for one in deviations],
            deviations,
            importance=2,
        ),
        Column("n", [count_text(v) for v in variants], [len(v.counted) for v in variants]),
        Column(
            "against the best",
            [verdict(variant) for variant in variants],
            is_text=True,
            importance=1,
        ),
    ]


def _with_interval(summary: Summary, places: int) -> str:
    text = f"{summary.mean:.{places}f}"
    if summary.half_width is None:
        return text
    return f"{text} ± {summary.half_width:.{places}f}"


def _metric(name: str, variants: Sequence[Variant], importance: int) -> Column:
    summaries = [variant.summaries.get(name) for variant in variants]
    means = [None if one is None else one.mean for one in summaries]
    places = decimals([mean for mean in means if mean is not None])
    cells = [MISSING if mean is None else f"{mean:.{places}f}" for mean in means]
    return Column(metric_title(name), cells, means, importance=importance)
