"""The result of a comparison in one or two sentences."""

from collections.abc import Sequence

from expt.comparison.cells import metric_title, p_text
from expt.comparison.notes import joined
from expt.comparison.table import Comparison
from expt.comparison.values import decimals
from expt.comparison.variants import Variant, Verdict, is_larger_better, label_parts

_MOST_NAMED = 3  # variants
_LONGEST = 60  # letters of a variant's name


def headline(comparison: Comparison) -> str:
    """Returns what is best, by how much and how certainly, in plain text."""
    best, leading = comparison.best, comparison.leading
    if leading is None or best is None:
        return "No finished run has a metric to compare."
    title = metric_title(leading)
    others = [variant for variant in comparison.measured if variant is not best]
    if not others:
        return f"One variant: {title} {_mean(best, leading)}, {_count(best)}."
    names = _names(comparison)
    extreme = "highest" if is_larger_better(leading, comparison.larger_is_better) else "lowest"
    start = f"{names[id(best)]} has the {extreme} {title}: {_mean(best, leading)}, {_count(best)}."
    return f"{start} {_on_others(comparison, others, names)}"


def _on_others(
    comparison: Comparison, others: Sequence[Variant], names: dict[int, str]
) -> str:
    by = {verdict: [v for v in others if v.verdict is verdict] for verdict in Verdict}
    worse, open_ones = by[Verdict.WORSE], by[Verdict.INCONCLUSIVE]
    if all(variant.difference is None for variant in others):
        return "Nothing certain follows: there is no test without two values of each that differ."
    nearest = min(others, key=lambda variant: _distance(comparison, variant))
    gap = _gap(comparison, nearest, names[id(nearest)])
    if len(others) == len(worse):
        rest = "" if len(others) == 1 else f" All {len(others)} others are significantly worse."
        return f"The difference to {gap} is significant.{rest}{_on_choice(others)}"
    equivalent = by[Verdict.EQUIVALENT]
    parts = [
        *([f"{_listed(open_ones, names)} may be as good or better"] if open_ones else []),
        *(
            [f"{_listed(equivalent, names)} {_verb(equivalent)} within ±{comparison.margin:g}"]
            if equivalent
            else []
        ),
        *([f"{_listed(worse, names)} {_verb(worse)} significantly worse"] if worse else []),
    ]
    certain = "That it is the best is not certain: " if open_ones else ""
    body = joined(parts)
    body = body if certain else body[:1].upper() + body[1:]
    return f"{certain}{body}. Nearest: {gap}.{_on_choice(others)}"


def _on_choice(others: Sequence[Variant]) -> str:
    if len(others) < 2:
        return ""
    return " The best was picked after seeing the data; p and intervals are corrected for that."


def _gap(comparison: Comparison, variant: Variant, name: str) -> str:
    """Returns such as `act=tanh, 0.0046 lower (95 % interval 0.0012 to 0.0080, p 0.013)`."""
    assert comparison.leading is not None
    found = variant.difference
    value = _difference(comparison, variant)
    numbers = [value] if found is None else [found.low, found.high]
    places = decimals([*numbers, value])
    direction = "lower" if value < 0 else "higher"
    text = f"{name}, {abs(value):.{places}f} {direction}"
    if found is None:
        return f"{text} (no test)"
    sign = -1 if value < 0 else 1
    low, high = sorted((sign * found.low, sign * found.high))
    corrected = ", corrected" if len(comparison.measured) > 2 else ""
    return (
        f"{text} (95 % interval {low:.{places}f} to {high:.{places}f}, "
        f"{p_text(found.corrected)}{corrected})"
    )


def _difference(comparison: Comparison, variant: Variant) -> float:
    leading, best = comparison.leading, comparison.best
    assert leading is not None
    assert best is not None
    return variant.summaries[leading].mean - best.summaries[leading].mean


def _distance(comparison: Comparison, variant: Variant) -> float:
    return abs(_difference(comparison, variant))


def _mean(variant: Variant, leading: str) -> str:
    summary = variant.summaries[leading]
    places = decimals([summary.mean])
    if summary.half_width is None:
        return f"{summary.mean:.{places}f}"
    return f"{summary.mean:.{places}f} ± {summary.half_width:.{places}f}"


def _count(variant: Variant) -> str:
    return f"n = {len(variant.counted)}"


def _names(comparison: Comparison) -> dict[int, str]:
    measured = comparison.measured
    parts = label_parts(measured, is_short=True)
    texts = [" ".join(one) or "the variant without a value" for one in parts]
    return {id(v): _clipped(text) for v, text in zip(measured, texts, strict=True)}


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _listed(variants: Sequence[Variant], names: dict[int, str]) -> str:
    if len(variants) > _MOST_NAMED:
        return f"{len(variants)} others"
    return joined([names[id(variant)] for variant in variants])


def _verb(variants: Sequence[Variant]) -> str:
    return "is" if len(variants) == 1 else "are"
