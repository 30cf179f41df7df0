"""The plan of a sweep: its jobs, composed and frozen before the first starts; sweep.json."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from expt.config.compose import Job
from expt.config.frozen import read_frozen
from expt.errors import UserError
from expt.runs.kinds import wrong_place

PLAN_FILE = "sweep.json"


class JobStatus(StrEnum):
    """How a job of a sweep stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    REUSED = "REUSED"


ENDED_WELL = (JobStatus.FINISHED, JobStatus.REUSED)
_KINDS: Mapping[str, Any] = {
    "jobs": [
        {
            "directory": str,
            "run_hash": str,
            "overrides": [str],
            "choices": dict,
            "status": set(JobStatus),
            "error": (None, str),
            "reused": (None, str),
        }
    ],
}


@dataclass
class PlannedJob:
    """A job and how it stands.

    Attributes:
        directory: Of its run, which holds the frozen config from the beginning.
        job: The frozen config.
        run_hash: Of config and data.
        status: How it stands.
        error: Why it failed.
        reused: The directory of the earlier run that stands in for it.
    """

    directory: Path
    job: Job
    run_hash: str
    status: JobStatus = JobStatus.PENDING
    error: str | None = None
    reused: str | None = None

    @property
    def name(self) -> str:
        """What varies, as the directory is called."""
        return self.directory.name


@dataclass
class Plan:
    """A sweep's jobs, kept in a file that is replaced atomically with each change.

    Attributes:
        directory: The sweep's.
        jobs: In the order in which they start.
    """

    directory: Path
    jobs: Sequence[PlannedJob]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        """Changes how a job stands, from any thread."""
        with self._lock:
            job.status, job.error = status, error
            self._write()

    def write(self) -> None:
        """Writes the file."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        jobs = [
            {
                "directory": each.directory.name,
                "run_hash": each.run_hash,
                "overrides": list(each.job.overrides),
                "choices": each.job.choices,
                "status": each.status,
                "error": each.error,
                "reused": each.reused,
            }
            for each in self.jobs
        ]
        partial = self.directory / f"partial-{PLAN_FILE}"
        partial.write_text(json.dumps({"jobs": jobs}, indent=2) + "\n", encoding="utf-8")
        partial.replace(self.directory / PLAN_FILE)


def read_plan(directory: Path) -> Plan:
    """Reads the plan of a sweep.

    Args:
        directory: The sweep's.

    Raises:
        UserError: The plan, or the config of a job, is damaged.
    """
    file = directory / PLAN_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} can't be read: {error}") from error
    wrong = wrong_place(content, _KINDS)
    if wrong is not None:
        raise UserError(f"{file} is damaged: {wrong!r} is missing or wrong.")
    jobs = []
    for entry in content["jobs"]:
        place = directory / entry["directory"]
        if place.parent != directory:
            raise UserError(f"{file} is damaged: {entry['directory']} leads elsewhere.")
        jobs.append(
            PlannedJob(
                place,
                read_frozen(place, entry),
                entry["run_hash"],
                JobStatus(entry["status"]),
                entry["error"],
                entry["reused"],
            )
        )
    return Plan(directory, jobs)
