"""The jobs in a folder, with the run of each job or the reason why there is none."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from expt.analysis.compared_run import UNREADABLE, ComparedRun, read_compared
from expt.analysis.values import plain
from expt.config.quoting import values_by_key
from expt.runs.record_parts import JobRecord, JobStatus
from expt.runs.records import RUN_FILE
from expt.runs.sweeps import planned_jobs, reused_run

_HYDRA = ".hydra"


@dataclass(frozen=True)
class JobPlace:
    """The directory of a single run or of a job of a sweep.

    Attributes:
        directory: The directory.
        entry: The job's entry in the plan of its sweep; None if the directory has a run.json, or
            if there is no plan.
    """

    directory: Path
    entry: JobRecord | None = None

    @property
    def is_reused(self) -> bool:
        """Whether the sweep reused a previous run instead of training the job."""
        return self.entry is not None and self.entry.reused is not None

    @cached_property
    def run(self) -> Path | None:
        """The directory of the job's run or of the previous run reused for it; None if neither."""
        if self.entry is None:
            return self.directory if (self.directory / RUN_FILE).is_file() else None
        if self.entry.reused is None:
            return None
        return reused_run(self.directory.parent.resolve(), self.entry.reused)

    def read(self) -> ComparedRun | None:
        """Reads the run of the job; returns None if the job has not started."""
        if self.run is not None:
            return read_compared(self.run)
        if self.entry is None:
            return None
        status, reason = str(self.entry.status), self.entry.error
        if self.entry.reused is not None:
            status = UNREADABLE
            reason = f"the previous run that the sweep reused is missing: {self.entry.reused}"
        elif self.entry.status not in (JobStatus.FAILED, JobStatus.KILLED):
            return None
        # A job that failed before its run was recorded has no run.json. A comparison still lists
        # it as not finished, with the reason from the plan.
        return ComparedRun(
            directory=self.directory,
            status=status,
            name=plain(self.entry.run_name or self.directory.name),
            reason=None if reason is None else plain(reason),
            params=values_by_key(self.entry.overrides),
        )


def jobs_in(folder: Path) -> Iterator[JobPlace]:
    """Yields all jobs and single runs in a folder, in no particular order."""
    plans: dict[Path, dict[str, JobRecord]] = {}
    for place, folders, files in os.walk(folder):
        directory = Path(place)
        if RUN_FILE in files:
            yield JobPlace(directory)
        elif _HYDRA in folders:
            sweep = directory.parent
            if sweep not in plans:
                plans[sweep] = planned_jobs(sweep)
            yield JobPlace(directory, plans[sweep].get(directory.name))
        else:
            continue
        # No run contains another one: its images and checkpoints need not be searched.
        folders.clear()
