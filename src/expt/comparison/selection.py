"""Which runs are compared: sweeps, directories, an experiment's, those with certain values."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.comparison.jobs import JobPlace, jobs_in
from expt.comparison.reading import ComparedRun
from expt.comparison.values import as_text, plain
from expt.errors import UserError, hint, nearest
from expt.record.quoting import split_at_commas, unquoted
from expt.runs.order import sweeps_by_age

_MOST_NAMED = 20  # values in a message


@dataclass(frozen=True)
class Selection:
    """The runs to compare.

    Attributes:
        title: Where they were found.
        runs: They, in the order of their directories.
        notes: What a reader should know of the jobs in the folders, a sentence each.
    """

    title: str
    runs: Sequence[ComparedRun]
    notes: Sequence[str] = ()


def select(names: Sequence[str], filters: Sequence[str], output_dir: Path) -> Selection:
    """Finds runs and reads them.

    Args:
        names: Run directories, folders that hold some, or `latest`, the newest sweep. Without any
            it is the newest sweep; all of the output directory if there is none, or if a filter
            gives an experiment's name.
        filters: `KEY=VALUE` or `KEY=VALUE,VALUE`: a parameter, `name` or `status`.
        output_dir: The folder of all runs.

    Raises:
        UserError: There are no such runs.
    """
    by_name = any(one.startswith("name=") for one in filters)
    folders = [_folder(name, output_dir) for name in names] or [_default(output_dir, by_name)]
    jobs: dict[str, JobPlace] = {}
    for folder in folders:
        # Of a run that is there itself too, it is not told that it is reused.
        found = sorted(jobs_in(folder), key=lambda job: (not job.is_reused, job.directory))
        if not any(map(_has_begun, found)):
            raise UserError(
                f"{_shown(folder)}: there are no runs. Expected a run's directory (one that holds "
                "a run.json), or a folder with some in it."
            )
        jobs |= {os.path.abspath(job.run or job.directory): job for job in found}  # noqa: PTH100
    read = [job.read() for job in jobs.values()]
    runs = [run for run in read if run is not None]
    chosen = _filtered(runs, filters)
    title = ", ".join(_shown(folder) for folder in folders)
    if filters:
        title += f" with {' '.join(filters)}"
    notes = _notes(len(read) - len(runs), sum(job.is_reused for job in jobs.values()))
    return Selection(plain(title), chosen, notes)


def newest_sweep(output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that began last, if there is one with a run in it."""
    for folder in reversed(sweeps_by_age(output_dir)):
        if any(map(_has_begun, jobs_in(folder))):
            return folder
    return None


def _folder(name: str, output_dir: Path) -> Path:
    if name == "latest":
        return _default(output_dir, is_whole=False)
    # Those of os.path never raise, whatever the name is.
    for folder in (Path(os.path.expanduser(name)), output_dir / name):  # noqa: PTH111
        if folder.is_dir():
            return folder
    raise UserError(
        f"{name}: there is no such folder. Expected a run's directory, a sweep's, a folder that "
        "holds some, 'latest', or a filter KEY=VALUE such as act=relu or status=FINISHED."
    )


def _default(output_dir: Path, is_whole: bool) -> Path:
    return (None if is_whole else newest_sweep(output_dir)) or output_dir


def _shown(folder: Path) -> str:
    return os.path.relpath(folder)


def _has_begun(job: JobPlace) -> bool:
    return job.run is not None or job.read() is not None


def _notes(waiting: int, reused: int) -> list[str]:
    notes = []
    if waiting:
        notes.append(f"{waiting} jobs have not begun." if waiting > 1 else "1 job has not begun.")
    if reused:
        runs = f"{reused} runs are" if reused > 1 else "1 run is"
        notes.append(f"{runs} of an earlier time, reused by the sweep.")
    return notes


def _filtered(runs: Sequence[ComparedRun], filters: Sequence[str]) -> Sequence[ComparedRun]:
    for text in filters:
        key, _, wanted = text.partition("=")
        values = [_value(run, key) for run in runs]
        known = {"name", "status", *(key for run in runs for key in run.params)}
        if key not in known:
            near = nearest(key, known)
            question = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"{text}: no run has a parameter {key!r}.{question} Expected one that the runs "
                "have, such as act, optimizer.learning_rate or seed; or name, or status."
            )
        options = {_normal(unquoted(one)) for one in (wanted, *split_at_commas(wanted))}
        kept = [run for run, value in zip(runs, values, strict=True) if value in options]
        if not kept:
            present = sorted({value for value in values if value is not None})
            more = len(present) - _MOST_NAMED
            tail = f" (and {more} more)" if more > 0 else ""
            raise UserError(
                f"{text}: no run has this value. {hint(wanted, present[:_MOST_NAMED])[:-1]}{tail}."
            )
        runs = kept
    return runs


def _value(run: ComparedRun, key: str) -> str | None:
    if key == "name":
        return run.experiment
    if key == "status":
        return run.status
    return _normal(run.params[key]) if key in run.params else None


def _normal(value: Any) -> str:
    """One text for all ways to write a value: `1e-3` and `0.001`, `[1, 2]` and `[1,2]`."""
    text = as_text(value)
    try:
        return as_text(float(text))
    except ValueError:
        return text.replace(" ", "") if text.startswith("[") else text
