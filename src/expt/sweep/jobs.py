"""The jobs of a sweep: how each is planned, its status and its outcome."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from expt.config.compose import Job
from expt.config.sources import Code
from expt.errors import UserError
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord, read_run

ENDED_WELL = (JobStatus.FINISHED, JobStatus.REUSED)


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        status: FINISHED, FAILED, KILLED or REUSED.
        error: Why it failed.
        record: The content of its run.json, with its best and final values; empty if it did not
            finish.
        is_disk_full: Whether it failed because there is no space left, as others would.
    """

    status: JobStatus
    error: str | None = None
    record: RunRecord = field(default_factory=RunRecord)
    is_disk_full: bool = False


@dataclass
class PlannedJob:
    """A job and its status.

    Attributes:
        directory: Of its run, which holds the frozen config from the beginning.
        job: The frozen config.
        run_hash: Of config, data and code.
        variant: Its values of what varies in the sweep, the seed left out.
        status: Its status.
        error: Why it failed.
        reused: The directory of the finished run that is reused for it; read back, from that of
            the sweep.
        code: The code that it was planned with; None if that was not recorded.
        run_name: The name of its run for people; empty if it was planned before runs had any.
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

    @property
    def name(self) -> str:
        """The name of its run, such as `mlp-relu-s0`."""
        return self.run_name or self.directory.name

    @property
    def reason(self) -> str:
        """The first line of the error."""
        return (self.error or "").partition("\n")[0]

    def record(self) -> RunRecord | None:
        """Returns the content of its run.json, if the run has begun.

        Raises:
            UserError: It is damaged.
        """
        if not (self.directory / "run.json").is_file():
            return None
        return read_run(self.directory)

    def result(self) -> RunRecord | None:
        """Returns the record of the job's run, or of the finished run that is reused for it.

        Returns:
            None if there is no record, or if it is damaged.
        """
        place = self.directory if self.reused is None else self.directory.parent / self.reused
        with suppress(UserError, OSError):
            return read_run(place)
        return None
