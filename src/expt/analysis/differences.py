"""What differs between two runs: what they were made of, and what came out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.analysis.reading import BEST, flat_config, read_compared
from expt.analysis.values import as_text, plain
from expt.errors import UserError
from expt.record.journal import FILE_NAME
from expt.record.replay import read_scalars
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord

_DIFF_FILE = "git.diff"
_FILE_OF_DIFF = re.compile(r"^diff --git a/(.*) b/\1$", re.MULTILINE)
_LEFT_OUT = ("output_dir",)  # where a run is, not what
_NONE = "–"


@dataclass(frozen=True)
class DiffRow:
    """One value of both runs, as text.

    Attributes:
        name: What it is.
        first: That of run A.
        second: That of run B.
    """

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Parting:
    """How two runs' values of one metric compare.

    Attributes:
        metric: Its full name.
        common: At how many steps both recorded it.
        step: The first of these at which it differs; None if it never does.
        first: Run A's value there.
        second: Run B's.
    """

    metric: str
    common: int
    step: int | None = None
    first: float = math.nan
    second: float = math.nan


def config_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the values of the configs that differ."""
    return _differing(_config(first), _config(second))


def module_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns the modules whose code differs, and where a run continued with other code.

    Runs recorded before their code was have none.
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
    """Returns which modules changed between a run's processes, by step."""
    return {
        entry.step: plain(", ".join(entry.code.changed) or "from code not recorded")
        for entry in record.resumed
        if entry.code is not None and entry.step is not None
    }


def code_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns what differs of the commits, and of the files that differed from them.

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
            if texts[0] == texts[1]:
                texts = [f"{text}, others" for text in texts]
            rows.append(DiffRow(plain(name), *texts))
    return rows


def record_rows(first: FoundRun, second: FoundRun, keys: Sequence[str]) -> list[DiffRow]:
    """Returns what differs of some parts of run.json, such as `versions`."""
    found = [
        {name: value for key in keys for name, value in _flat(record.get(key, {}), key)}
        for record in (first.record.to_mapping(), second.record.to_mapping())
    ]
    return _differing(*found)


def final_rows(first: FoundRun, second: FoundRun) -> list[DiffRow]:
    """Returns all last and best values of both, whether they differ or not."""
    runs = [read_compared(run.directory) for run in (first, second)]
    names = sorted(
        {name for run in runs for name in run.metrics},
        key=lambda name: (name.startswith(BEST), name),
    )
    rows = [_of_both("status", [run.status for run in runs])]
    rows.append(_of_both("step", [run.step for run in runs]))
    for name in names:
        values = [run.metrics.get(name) for run in runs]
        rows.append(_of_both(name, [None if v is None else number_text(v) for v in values]))
    return rows


def number_text(value: float) -> str:
    """Returns a metric with the fewest digits that tell it from all others; it is a float32."""
    return str(np.float32(value))


def partings(first: FoundRun, second: FoundRun) -> list[Parting]:
    """Returns for each metric that both recorded where it differs first, in the order of steps.

    Times and speeds are left out: no two runs have the same.

    Raises:
        UserError: A journal is missing or damaged.
    """
    one, other = (_series(run.directory / FILE_NAME) for run in (first, second))
    found = [_parting(name, one[name], other[name]) for name in one if name in other]
    return sorted(found, key=lambda parting: math.inf if parting.step is None else parting.step)


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


def _parting(name: str, one: _Series, other: _Series) -> Parting:
    steps, here, there = np.intersect1d(one[0], other[0], return_indices=True)
    values, others = one[1][here], other[1][there]
    is_same = (values == others) | (np.isnan(values) & np.isnan(others))
    if is_same.all():
        return Parting(name, len(steps))
    place = int(np.argmin(is_same))
    return Parting(name, len(steps), int(steps[place]), float(values[place]), float(others[place]))


def _config(run: FoundRun) -> dict[str, Any]:
    """The config as written, with names of classes; over it what run.json has resolved."""
    written = flat_config(run.directory)
    params = run.record.params or run.record.choices
    if not written and not params:
        raise UserError(f"{run.directory} has no config: neither in run.json nor in .hydra/.")
    return {key: value for key, value in {**written, **params}.items() if key not in _LEFT_OUT}


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(item, f"{name}.{key}")]
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


def _of_both(name: str, values: Sequence[Any]) -> DiffRow:
    texts = [_NONE if value is None else as_text(value) for value in values]
    return DiffRow(plain(name), *texts)


def _files_of_diff(directory: Path) -> dict[str, str]:
    """What a run's git.diff says of each file."""
    try:
        text = (directory / _DIFF_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
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
        return "not known to git"
    added = len(re.findall(r"^\+(?!\+\+ )", part, re.MULTILINE))
    removed = len(re.findall(r"^-(?!-- )", part, re.MULTILINE))
    return f"+{added} -{removed} lines"
