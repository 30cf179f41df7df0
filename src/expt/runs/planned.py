"""What a sweep leaves beside its jobs' runs, for those who only read it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.config.quoting import unquoted

PLAN_FILE = "sweep.json"
_DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

SUMMARY = Path("summary")
"""The folder in a sweep's directory for its table, plots and report."""

REPORT = "report.html"
"""The page in it."""

NOTE = "note.md"
"""The head of the table in it, for where there is little room."""


@dataclass(frozen=True)
class Entry:
    """A job in the plan.

    Attributes:
        overrides: What was given for it.
        status: How it stands.
        error: Why it failed.
        reused: The directory of the earlier run that stands in for it, from that of the sweep.
        name: Of its run, for people; None if it was planned before runs had any.
    """

    overrides: Sequence[str]
    status: str
    error: str | None
    reused: str | None
    name: str | None = None


def read_entries(sweep: Path) -> dict[str, Entry]:
    """Returns the jobs by their directories' names; none if there is no plan, or a damaged one.

    Args:
        sweep: Its directory.
    """
    try:
        jobs = _read(sweep)["jobs"]
        return {
            job["directory"]: Entry(
                [str(override) for override in job["overrides"]],
                str(job["status"]),
                _text(job.get("error")),
                _text(job.get("reused")),
                _text(job.get("run_name") or None),
            )
            for job in jobs
        }
    except _DAMAGED:
        return {}


def read_mlflow_place(sweep: Path) -> tuple[str, str] | None:
    """Returns the ids of the experiment and of the sweep's own run in MLflow, if they are known.

    Args:
        sweep: Its directory.
    """
    try:
        place = _read(sweep)["mlflow"]
        return str(place["experiment_id"]), str(place["run_id"])
    except _DAMAGED:
        return None


def given(overrides: Sequence[str]) -> dict[str, str]:
    """Returns what overrides give, by key."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: unquoted(value) for key, _, value in pairs}


def _read(sweep: Path) -> Any:
    return json.loads((sweep / PLAN_FILE).read_text(encoding="utf-8"))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
