"""The jobs in a folder: where each one's run is, and what became of those that have none."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from expt.analysis.reading import UNREADABLE, ComparedRun, read_compared
from expt.analysis.values import plain
from expt.config.quoting import given
from expt.runs.record_parts import JobRecord, JobStatus
from expt.runs.records import RUN_FILE
from expt.runs.sweeps import planned_jobs, reused_run

_HYDRA = ".hydra"


@dataclass(frozen=True)
class JobPlace:
    """A job's directory.

    Attributes:
        directory: It.
        entry: What the sweep's plan says of a job without a run of its own, if there is a plan.
    """

    directory: Path
    entry: JobRecord | None = None

    @property
    def is_reused(self) -> bool:
        """Whether an earlier run stands in for the job."""
        return self.entry is not None and self.entry.reused is not None

    @cached_property
    def run(self) -> Path | None:
        """The directory of its run, or of the one that stands in for it; None without either."""
        if self.entry is None:
            return self.directory if (self.directory / RUN_FILE).is_file() else None
        if self.entry.reused is None:
            return None
        return reused_run(self.directory.parent.resolve(), self.entry.reused)

    def read(self) -> ComparedRun | None:
        """Reads its run; None if the job has not begun."""
        if self.run is not None:
            return read_compared(self.run)
        if self.entry is None:
            return None
        status, reason = str(self.entry.status), self.entry.error
        if self.entry.reused is not None:
            status = UNREADABLE
            reason = f"the run that stands in for it is not there: {self.entry.reused}"
        elif self.entry.status not in (JobStatus.FAILED, JobStatus.KILLED):
            return None
        return ComparedRun(
            directory=self.directory,
            status=status,
            name=plain(self.entry.run_name or self.directory.name),
            reason=None if reason is None else plain(reason),
            params=given(self.entry.overrides),
        )


def jobs_in(folder: Path) -> Iterator[JobPlace]:
    """Yields the jobs in a folder, runs of their own among them, in no order."""
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
        folders.clear()
