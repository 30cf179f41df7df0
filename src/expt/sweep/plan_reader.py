"""Reads the plan of a sweep from its sweep.json and from the frozen configs of its jobs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from expt.config.frozen import read_frozen
from expt.config.sources import Code
from expt.errors import UserError
from expt.runs.chronology import newest, records_in
from expt.runs.damaged import damaged
from expt.runs.find import folder_above
from expt.runs.records import (
    SWEEP_FILE,
    SweepRecord,
    check_complete,
    read_run,
    read_sweep,
)
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan, is_inside


def read_plan(directory: Path) -> SweepPlan:
    """Reads the plan of a sweep.

    Args:
        directory: Directory of the sweep.

    Raises:
        UserError: The plan or the config of a job is missing or damaged.
    """
    content = read_content(directory)
    outputs, jobs = folder_above(directory.resolve(), content.place), []
    for entry in content.jobs:
        place = directory / entry.directory
        # A sweep may come from someone else: no path in it may lead to other files.
        if not is_inside(place, directory):
            raise UserError(
                f"{directory / SWEEP_FILE} is damaged: {entry.directory} is outside the sweep."
            )
        frozen = read_frozen(place, {**_of_process(place), **entry.to_mapping()})
        jobs.append(
            PlannedJob(
                place,
                replace(frozen, current_output_dir=outputs),
                entry.run_hash,
                entry.variant,
                entry.status,
                entry.error,
                entry.reused,
                _code(entry.code, content.codes),
                entry.run_name or "",
            )
        )
    facts = content.to_mapping()
    return SweepPlan(
        directory, jobs, {k: v for k, v in facts.items() if k not in ("jobs", "codes")}
    )


def _of_process(directory: Path) -> dict[str, Any]:
    """Returns the machine and environment that a job's run has recorded; empty without a run."""
    try:
        record = read_run(directory).to_mapping()
    except UserError:
        return {}
    return {key: record[key] for key in ("machine", "environment") if key in record}


def _code(code: str | None, codes: Mapping[str, Mapping[str, str]]) -> Code | None:
    """Returns the code with a hash; `codes` contains each distinct code of the sweep once."""
    return None if code is None or code not in codes else Code(code, codes[code])


def newest_plan(output_dir: Path) -> Path | None:
    """Returns the directory of the newest sweep in a folder of runs; None if there is none.

    Raises:
        UserError: A plan is damaged, and may be newer.
    """
    file = newest(records_in(output_dir, SWEEP_FILE), output_dir)
    return None if file is None else file.parent


def read_content(directory: Path) -> SweepRecord:
    """Reads the record of a sweep, without the configs of its jobs.

    Raises:
        UserError: The record is missing, damaged or incomplete.
    """
    record = read_sweep(directory)
    check_complete(directory, record)
    if not record.jobs:
        raise damaged(directory / SWEEP_FILE, "jobs")
    return record
