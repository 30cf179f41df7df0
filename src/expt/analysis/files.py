"""Writers of a comparison as CSV, Markdown and JSON."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from expt.analysis.cells import TableColumn, columns
from expt.analysis.compared_run import ComparedRun
from expt.analysis.effects import Effect, effects
from expt.analysis.multiple import Difference
from expt.analysis.table import Comparison, measured_only
from expt.analysis.terminal import last_text, where
from expt.analysis.values import as_text, to_json
from expt.analysis.variants import COSTS, Variant
from expt.analysis.verdict import headline

# MLflow shows the note as the description of the sweep, in a narrow column: a table of all columns
# and variants would not fit there.
_OF_A_NOTE = 4  # the largest importance of a column
_MOST_NOTED = 20  # variants
_OF_SUMMARIES = ("mean", "std", "low", "high", "n")
_AGAINST_BEST = ("difference", "difference_low", "difference_high", "test", "p", "p_corrected")


def write_csv(comparison: Comparison, path: Path, title: str) -> None:
    """Writes one row per variant, with the summary of every metric.

    Numbers are written in full precision.
    """
    del title  # an argument of all writers; a CSV file has no title
    rows = [_flat(variant, comparison) for variant in comparison.variants]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0] if rows else ())
        writer.writerows(row.values() for row in rows)


def write_markdown(comparison: Comparison, path: Path, title: str) -> None:
    """Writes the result in words, the table with rounded numbers, and the notes."""
    comparison = measured_only(comparison)
    shown = _table(columns(comparison))
    lines = [f"# {_escaped(title)}", "", _escaped(headline(comparison)), "", *shown]
    if comparison.unfinished:
        lines += [
            "",
            _row(("status", "run", "step", "last values", "reason")),
            "|---|---|---:|---|---|",
        ]
    for run in comparison.unfinished:
        step = "" if run.step is None else str(run.step)
        lines.append(
            _row((run.status, f"{run.name} ({where(run)})", step, last_text(run), run.reason or ""))
        )
    _write_with_notes(lines, comparison.notes, path)


def write_note(comparison: Comparison, path: Path) -> None:
    """Writes the result in words and the top of the table, as Markdown for a narrow column."""
    comparison = measured_only(comparison)
    shown = [column for column in columns(comparison) if column.importance <= _OF_A_NOTE]
    more = len(comparison.variants) - _MOST_NOTED
    notes = [f"{more} more variants are in table.md."] if more > 0 else []
    lines = [_escaped(headline(comparison)), "", *_table(shown, _MOST_NOTED)]
    _write_with_notes(lines, [*notes, *comparison.notes], path)


def write_json(comparison: Comparison, path: Path, title: str) -> None:
    """Writes all variants with their runs, the effects, and the runs that are not finished."""
    content = {
        "title": title,
        "headline": headline(comparison),
        "metric": comparison.leading,
        "larger_is_better": sorted(comparison.larger_is_better),
        "parameters": comparison.parameters,
        "replicates": comparison.replicates,
        "margin": comparison.margin,
        "notes": comparison.notes,
        "effects": [_of_effect(effect) for effect in effects(comparison)],
        "variants": [_nested(variant) for variant in comparison.variants],
        "unfinished": [_of_run(run) for run in comparison.unfinished],
    }
    path.write_text(to_json(content) + "\n", encoding="utf-8")


WRITERS: Mapping[str, Callable[[Comparison, Path, str], None]] = {
    "csv": write_csv,
    "markdown": write_markdown,
    "json": write_json,
}
"""The writers by the name of the command-line option."""


def _table(shown: Sequence[TableColumn], most: int | None = None) -> list[str]:
    """Returns the lines of a table, limited to the first `most` variants if that is given."""
    rows = list(zip(*(column.cells for column in shown), strict=True))
    return [
        _row(column.title for column in shown),
        _row("---" if column.is_text else "---:" for column in shown),
        *(_row(cells) for cells in rows[:most]),
    ]


def _write_with_notes(lines: Sequence[str], notes: Sequence[str], path: Path) -> None:
    paragraphs = [line for note in notes for line in ("", _escaped(note))]
    path.write_text("\n".join([*lines, *paragraphs]) + "\n", encoding="utf-8")


def _flat(variant: Variant, comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {
        key: "" if value is None else as_text(value) for key, value in variant.params.items()
    }
    row |= {
        "best": int(variant.is_best),
        "runs": len(variant.runs),
        "seeds": " ".join(str(run.seed) for run in variant.counted),
        "verdict": variant.verdict,
    }
    for metric in comparison.metrics:
        numbers = _of_metric(variant, metric)
        row |= {f"{metric} {name}": numbers.get(name) for name in _OF_SUMMARIES}
    against = _against_best(variant.difference)
    row |= {name: against.get(name) for name in _AGAINST_BEST}
    return row | {name: variant.costs.get(name) for name in COSTS}


def _of_metric(variant: Variant, metric: str) -> dict[str, Any]:
    summary = variant.summaries.get(metric)
    if summary is None:
        return {}
    return {
        "mean": summary.mean,
        "std": summary.deviation,
        "low": summary.low,
        "high": summary.high,
        "n": summary.count,
    }


def _against_best(found: Difference | None) -> dict[str, Any]:
    if found is None:
        return {}
    numbers = (found.value, found.low, found.high, found.test, found.p, found.corrected)
    return dict(zip(_AGAINST_BEST, numbers, strict=True))


def _nested(variant: Variant) -> dict[str, Any]:
    return {
        "params": variant.params,
        "best": variant.is_best,
        "metrics": {name: _of_metric(variant, name) for name in variant.summaries},
        "verdict": variant.verdict,
        "against_best": _against_best(variant.difference) or None,
        "costs": variant.costs,
        "runs": [_of_run(run) | {"counts": run in variant.counted} for run in variant.runs],
    }


def _of_effect(effect: Effect) -> dict[str, Any]:
    levels = [
        {
            "value": level.value,
            "mean": level.summary.mean,
            "verdict": level.verdict,
            "against_best": _against_best(level.difference) or None,
        }
        for level in effect.levels
    ]
    return {"parameter": effect.key, "blocks": effect.num_blocks, "values": levels}


def _of_run(run: ComparedRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "directory": where(run),
        "status": run.status,
        "reason": run.reason,
        "seed": run.seed,
        "step": run.step,
        "metrics": run.metrics,
        "costs": run.costs,
    }


def _row(cells: Any) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    # A name with `|` would end a cell, and one with `*` or `_` lose these characters. The backslash
    # comes first, so that the added ones are not escaped again.
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return text
