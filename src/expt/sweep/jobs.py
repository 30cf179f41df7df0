"""The jobs of a sweep: planned jobs with their statuses, and outcomes of ended jobs."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from expt.config.job import Job
from expt.config.sources import Code
from expt.errors import UserError
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord, read_run
from expt.train.program_key import program_key

SUCCESSFUL = (JobStatus.FINISHED, JobStatus.REUSED)


@dataclass(frozen=True)
class JobOutcome:
    """The outcome of a job that has ended.

    Attributes:
        status: FINISHED, FAILED, KILLED or REUSED.
        error: Why the job failed; None if it did not.
        record: The run's record (run.json), with its best and final values; empty if the job did
            not finish.
        is_disk_full: Whether the job failed because the disk is full, as all further jobs would.
    """

    status: JobStatus
    error: str | None = None
    record: RunRecord = field(default_factory=RunRecord)
    is_disk_full: bool = False


@dataclass
class PlannedJob:
    """A job of a sweep's plan, and its status.

    Attributes:
        directory: Directory of the job's run. It contains the frozen config even before the run
            starts.
        job: The job, with its frozen config.
        run_hash: Hash of config, data and code.
        variant: The overrides that vary in the sweep, without the seed, such as `act=relu`.
        status: Status of the job.
        error: Why the job failed; None if it did not.
        reused: Directory of the finished run that is reused for this job; relative to the sweep's
            directory if the plan was read from disk. None if the job is trained.
        code: The code that the job was planned with; None if it was not recorded.
        run_name: Human-readable name of the run; empty in plans of versions without such names.
    """

    directory: Path
    job: Job
    run_hash: str
    variant: str = ""
    status: JobStatus = JobStatus.PENDING
    error: str | None = None
    reused: str | None = None
    code: Code | None = None
    run_name: str = ""

    @cached_property
    def program_key(self) -> str | None:
        """The key of the job's compiled functions; see `expt.train.program_key`."""
        return program_key(self.job)

    @property
    def name(self) -> str:
        """The name of the job's run, such as `mlp-relu-s0`."""
        return self.run_name or self.directory.name

    @property
    def reason(self) -> str:
        """The first line of the error; empty if there is none."""
        return (self.error or "").partition("\n")[0]

    def record(self) -> RunRecord | None:
        """Returns the record of the job's run; None if the run has not started.

        Raises:
            UserError: The run.json is damaged.
        """
        if not (self.directory / "run.json").is_file():
            return None
        return read_run(self.directory)

    def result(self) -> RunRecord | None:
        """Returns the record of the job's run, or of the finished run that is reused for it.

        Returns:
            The record; None if there is none or if it is damaged.
        """
        place = self.directory if self.reused is None else self.directory.parent / self.reused
        with suppress(UserError, OSError):
            return read_run(place)
        return None
