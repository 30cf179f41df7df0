"""The result of a comparison in a few plain sentences."""

from collections.abc import Mapping, Sequence

from expt.comparison.cells import p_text
from expt.comparison.reading import BEST
from expt.comparison.table import Comparison
from expt.comparison.values import as_text, decimals, plain
from expt.comparison.variants import Variant, Verdict, is_larger_better, short_names

_LONGEST = 70  # letters of a variant's name


def headline(comparison: Comparison) -> str:
    """Returns what is best, by how much and how certainly, in plain text."""
    best, leading = comparison.best, comparison.leading
    if leading is None or best is None:
        return "No finished run has a metric to compare."
    title = leading.removeprefix(BEST)
    title = plain(title) + (" (best checkpoint)" if title != leading else "")
    places = _places(comparison, leading)
    others = [variant for variant in comparison.measured if variant is not best]
    if not others:
        return f"One variant: {title} {_mean(best, leading, places)}, n = {len(best.counted)}."
    extreme = "highest" if is_larger_better(leading, comparison.larger_is_better) else "lowest"
    return (
        f"{_name(best, others[0], others)} has the {extreme} {title}: {_mean(best, leading, places)} "
        f"(n = {len(best.counted)}). {_certainty(comparison, best, others)}"
    )


def _certainty(comparison: Comparison, best: Variant, others: Sequence[Variant]) -> str:
    if all(variant.difference is None for variant in others):
        return (
            "Whether it is better than the others is unknown: a test needs at least two replicates "
            "of each, and some spread between them."
        )
    counts = {v: sum(one.verdict is v for one in others) for v in Verdict}
    leading = comparison.leading
    assert leading is not None
    nearest = min(
        others,
        key=lambda one: abs(one.summaries[leading].mean - best.summaries[leading].mean),
    )
    gap = f"{_name(nearest, best, [best])}, {_gap(nearest, best, leading, _places(comparison, leading))}"
    if counts[Verdict.WORSE] == len(others):
        start = (
            "Significant"
            if len(others) == 1
            else f"All {len(others)} others are significantly worse"
        )
        return f"{start}: the nearest is {gap}.{_on_choice(others)}"
    parts = []
    if counts[Verdict.INCONCLUSIVE]:
        parts.append(f"{_of(counts[Verdict.INCONCLUSIVE], others)} may be as good or better")
    if counts[Verdict.EQUIVALENT]:
        number = counts[Verdict.EQUIVALENT]
        verb = "is" if number == 1 else "are"
        parts.append(f"{_of(number, others)} {verb} equivalent (within ±{comparison.margin:g})")
    if counts[Verdict.WORSE]:
        number = counts[Verdict.WORSE]
        parts.append(f"{number} {'is' if number == 1 else 'are'} significantly worse")
    start = "Not certain: " if counts[Verdict.INCONCLUSIVE] else ""
    body = ", ".join(parts)
    return f"{start}{body if start else _capital(body)}; the nearest is {gap}.{_on_choice(others)}"


def _of(number: int, others: Sequence[Variant]) -> str:
    return "the other one" if len(others) == 1 else f"{number} of {len(others)} others"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _on_choice(others: Sequence[Variant]) -> str:
    count = 1 + sum(variant.difference is not None for variant in others)
    if count < 3:
        return ""
    return (
        f" p and interval are corrected (Holm) for picking the best of {count} after seeing the "
        "data."
    )


def _gap(variant: Variant, best: Variant, leading: str, places: int) -> str:
    """Returns such as `0.0046 lower (95 % interval 0.0012 to 0.0080, p = 0.013)`."""
    value = variant.summaries[leading].mean - best.summaries[leading].mean
    if value != 0 and round(abs(value), places) == 0:
        places = decimals([value])
    text = f"{abs(value):.{places}f} {'lower' if value < 0 else 'higher'}"
    found = variant.difference
    if found is None:
        return f"{text} (not tested)"
    low, high = (found.low, found.high) if value >= 0 else (-found.high, -found.low)
    p = p_text(found.corrected)
    return f"{text} (95 % interval {low:.{places}f} to {high:.{places}f}, {p})"


def _places(comparison: Comparison, leading: str) -> int:
    """Returns the decimals of the table."""
    return decimals([variant.summaries[leading].mean for variant in comparison.measured])


def _mean(variant: Variant, leading: str, places: int) -> str:
    summary = variant.summaries[leading]
    if summary.half_width is None:
        return f"{summary.mean:.{places}f}"
    return f"{summary.mean:.{places}f} ± {summary.half_width:.{places}f}"


def _name(variant: Variant, fallback: Variant, others: Sequence[Variant]) -> str:
    """Returns what distinguishes a variant from others, such as `act=relu`."""
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
