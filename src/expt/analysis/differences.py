"""Differences between two runs: config, code, data, environment, and results."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.analysis.compared_run import BEST, flat_config, read_compared
from expt.analysis.values import as_text, plain
from expt.errors import UserError
from expt.record.journal import FILE_NAME
from expt.record.replay import read_scalars
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord

_DIFF_FILE = "git.diff"
_FILE_OF_DIFF = re.compile(r"^diff --git a/(.*) b/\1$", re.MULTILINE)
_LEFT_OUT = ("output_dir",)  # the place of a run, which changes nothing in it
_NONE = "–"


@dataclass(frozen=True)
class DiffRow:
    """A value of both runs, as text.

    Attributes:
        name: The name of the value, such as a config key.
        first: The value of run A; `–` if the run has none.
        second: The value of run B; `–` if the run has none.
    """

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Divergence:
    """The first difference between the values of one metric in two runs.

    Attributes:
        metric: The full name of the metric.
        common: The number of steps at which both runs recorded the metric.
        step: The first common step at which the values differ; None if they never do.
        first: The value of run A at that step.
        second: The value of run B at that step.
    """

    metric: str
    common: int
    step: int | None = None
    first: float = math.nan
    second: float = math.nan


def config_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the config values that differ.

    Raises:
        UserError: A run has no config.
    """
    return _differing(_config(first), _config(second))


def module_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the modules whose code differs, and the steps where a run resumed with changed code.

    Runs from before the code was recorded have no modules.
    """
    codes = [{} if r.record.code is None else r.record.code.modules for r in (first, second)]
    rows = _differing(*({name: state[:8] for name, state in code.items()} for code in codes))
    changes = [_code_changes(run.record) for run in (first, second)]
    for step in sorted({step for each in changes for step in each}):
        rows.append(
            DiffRow(f"changed at step {step}", *(each.get(step, _NONE) for each in changes))
        )
    return rows


def _code_changes(record: RunRecord) -> dict[int, str]:
    """Returns the modules that changed while the run was interrupted, by the step it resumed at."""
    return {
        entry.step: plain(", ".join(entry.code.changed) or "the previous code was not recorded")
        for entry in record.resumed
        if entry.code is not None and entry.step is not None
    }


def code_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the differences in git: the commit, and the files with uncommitted changes.

    Runs that were started outside of a git checkout have no commit.
    """
    states = [{} if r.record.git is None else r.record.git.to_mapping() for r in (first, second)]
    rows = _differing(
        *(
            {key: value for key, value in state.items() if key in ("commit", "dirty")}
            for state in states
        )
    )
    diffs = [_files_of_diff(run.directory) for run in (first, second)]
    names = {name: None for diff in diffs for name in diff}
    for name in names:
        if diffs[0].get(name) != diffs[1].get(name):
            texts = [_lines_changed(diff.get(name)) for diff in diffs]
            # Two changes of the same size would otherwise read as if there were no difference.
            if texts[0] == texts[1]:
                texts = [f"{text}, not the same ones" for text in texts]
            rows.append(DiffRow(plain(name), *texts))
    return rows


def record_rows(first: FoundRun, second: FoundRun, keys: Sequence[str]) -> list[DiffRow]:
    """Returns the differences in some parts of run.json, such as `versions`."""
    found = [
        {name: value for key in keys for name, value in _flatten(record.get(key, {}), key)}
        for record in (first.record.to_mapping(), second.record.to_mapping())
    ]
    return _differing(*found)


def final_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the status, the last step, and all last and best values of both runs."""
    runs = [read_compared(run.directory) for run in (first, second)]
    names = sorted(
        {name for run in runs for name in run.metrics},
        key=lambda name: (name.startswith(BEST), name),
    )
    rows = [_make_row("status", [run.status for run in runs])]
    rows.append(_make_row("step", [run.step for run in runs]))
    for name in names:
        values = [run.metrics.get(name) for run in runs]
        rows.append(_make_row(name, [None if v is None else number_text(v) for v in values]))
    return rows


def number_text(value: float) -> str:
    """Returns a float32 value with the fewest digits that identify it."""
    return str(np.float32(value))


def find_divergences(first: FoundRun, second: FoundRun) -> list[Divergence]:
    """Finds the first difference of each metric that both runs recorded.

    Values are compared bit for bit; NaN equals NaN. The `perf/` metrics are left out, since no two
    runs have the same times.

    Returns:
        A divergence for each metric, ordered by step; metrics that never differ come last.

    Raises:
        UserError: A journal is missing or damaged.
    """
    one, other = (_series(run.directory / FILE_NAME) for run in (first, second))
    found = [_divergence(name, one[name], other[name]) for name in one if name in other]
    return sorted(found, key=lambda each: math.inf if each.step is None else each.step)


_Series = tuple[NDArray[np.int64], NDArray[np.float32]]


def _series(path: Path) -> dict[str, _Series]:
    columns: dict[str, list[_Series]] = {}
    for scalars in read_scalars(path):
        for name, values in scalars.values.items():
            if not name.startswith("perf/"):
                columns.setdefault(name, []).append((scalars.steps, values))
    return {
        name: (np.concatenate([s for s, _ in parts]), np.concatenate([v for _, v in parts]))
        for name, parts in columns.items()
    }


def _divergence(name: str, one: _Series, other: _Series) -> Divergence:
    # Runs with other cadences recorded other steps: only the common ones are comparable.
    steps, here, there = np.intersect1d(one[0], other[0], return_indices=True)
    values, others = one[1][here], other[1][there]
    is_same = (values == others) | (np.isnan(values) & np.isnan(others))
    if is_same.all():
        return Divergence(name, len(steps))
    place = int(np.argmin(is_same))
    return Divergence(
        name, len(steps), int(steps[place]), float(values[place]), float(others[place])
    )


def _config(run: FoundRun) -> dict[str, Any]:
    """Returns the config of a run by full key."""
    # The written config has the `_target_` of each part, run.json the resolved values.
    written = flat_config(run.directory)
    params = run.record.params or run.record.choices
    if not written and not params:
        raise UserError(f"{run.directory} has no config: neither in run.json nor in .hydra/.")
    return {key: value for key, value in {**written, **params}.items() if key not in _LEFT_OUT}


def _flatten(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flatten(item, f"{name}.{key}")]
    return [(name, value)]


def _differing(*sides: Mapping[str, Any]) -> list[DiffRow]:
    first, second = sides
    return [
        DiffRow(
            plain(key), *(as_text(one[key]) if key in one else _NONE for one in (first, second))
        )
        for key in dict.fromkeys([*first, *second])
        if key not in first or key not in second or first[key] != second[key]
    ]


def _make_row(name: str, values: Sequence[Any]) -> DiffRow:
    texts = [_NONE if value is None else as_text(value) for value in values]
    return DiffRow(plain(name), *texts)


def _files_of_diff(directory: Path) -> dict[str, str]:
    """Returns the changes of each file in a run's git.diff; `unknown` for untracked files."""
    try:
        text = (directory / _DIFF_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    # The file starts with a line for each untracked file; git's own diff follows.
    head, *parts = re.split(r"^(?=diff --git )", text, flags=re.MULTILINE)
    found = {line.partition(": ")[2]: "unknown" for line in head.splitlines() if ": " in line}
    for part in parts:
        match = _FILE_OF_DIFF.search(part)
        found[match[1] if match else part.partition("\n")[0]] = part
    return found


def _lines_changed(part: str | None) -> str:
    if part is None:
        return "as in the commit"
    if part == "unknown":
        return "untracked"
    # The lookahead skips the header lines `+++ b/file` and `--- a/file`.
    added = len(re.findall(r"^\+(?!\+\+ )", part, re.MULTILINE))
    removed = len(re.findall(r"^-(?!-- )", part, re.MULTILINE))
    return f"+{added} -{removed} lines"
