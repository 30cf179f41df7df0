"""The functions that worker processes of a sweep run: `prepare`, `check` and `train`.

They are module-level functions with picklable arguments and results, so that a launcher can call
them in another process or on another machine.
"""

import errno
import logging
import os
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from expt.config.job import Job
from expt.config.sources import Code
from expt.errors import Terminated, UserError
from expt.record.log_files import LOG_FILE, log_to_file
from expt.record.streams import keep_streams_open
from expt.runs.environment import forget_peak_memory
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.runs.run import Membership, PreviousRun
from expt.runs.secrets import install_log_redaction, redacted
from expt.sweep.code_changes import check_planned
from expt.sweep.jobs import JobOutcome
from expt.train.backend import reserve_threads, start_for, start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.recorders import Sinks

if TYPE_CHECKING:
    from expt.train.executors.kept import KeptProgram  # imports TensorFlow

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedJob:
    """The result of checking a job.

    Attributes:
        error: Error message, or a traceback if `is_users` is false; None if the job can be
            trained.
        is_users: Whether the error is a user error.
        seconds: Estimated duration of the job in seconds; None if it was not measured.
    """

    error: str | None = None
    is_users: bool = True
    seconds: float | None = None


class _Worker:
    """The state of this worker process, kept from job to job: data, sinks and compiled program."""

    load: DataLoader
    sinks: Sinks
    kept: "KeptProgram"


def prepare(
    threads: int, operations: int, environment: Mapping[str, str], load: DataLoader
) -> None:
    """Prepares this worker process, and starts TensorFlow.

    Args:
        threads: Number of threads per TensorFlow operation.
        operations: Number of TensorFlow operations that run in parallel.
        environment: Environment variables to add.
        load: Loads the data of jobs.
    """
    keep_streams_open()
    install_log_redaction()
    logging.raiseExceptions = False  # a log on a full disk must not print tracebacks
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.update(environment)
    tempfile.tempdir = None  # makes tempfile look up TMPDIR again
    reserve_threads(threads)
    _Worker.load, _Worker.sinks = load, Sinks(with_mlflow=False)
    start_tensorflow(0, threads=threads, operations=operations)
    # Imported ahead, while the sweep is still being composed; not at the top of the module, which
    # the scheduler's process imports as well and which must not load TensorFlow there.
    import expt.train.session
    import expt.train.timing  # noqa: F401
    from expt.train.executors.kept import KeptProgram

    _Worker.kept = KeptProgram()


def check(job: Job, is_measured: bool, code: Code | None) -> CheckedJob:
    """Trains one batch of a job without recording anything.

    Args:
        job: The job, with its frozen config.
        is_measured: Whether to estimate how long the job takes.
        code: The code that the job was planned with; None if it was not recorded.

    Returns:
        The result. Errors are returned, not raised, so that they reach the scheduler with secrets
        redacted.
    """
    from expt.train.program import make_program
    from expt.train.timing import estimate_seconds

    try:
        check_planned(job, code)
        dataset = _Worker.load(job)
        start_for(job.config)
        program = make_program(job, dataset)
        program.check()
        return CheckedJob(seconds=estimate_seconds(program) if is_measured else None)
    except UserError as error:
        return CheckedJob(redacted(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  most likely from a user's part
        return CheckedJob(redacted("".join(traceback.format_exception(error))), is_users=False)


def train(
    job: Job,
    directory: Path,
    previous: RunRecord | None,
    sweep: Membership,
    code: Code | None,
) -> JobOutcome:
    """Trains a job.

    Args:
        job: The job, with its frozen config.
        directory: Directory of the job's run.
        previous: Record that a previous process left of the run; None for a new run.
        sweep: The sweep that the job belongs to.
        code: The code that the job was planned with, or that a resumed sweep continues with; None
            if it was not recorded.

    Returns:
        The outcome. Errors are returned, not raised, so that the other jobs continue.
    """
    from expt.train.session import Session

    # Whether the code may change was decided when the sweep was resumed; see `check_planned`.
    before = None if previous is None else PreviousRun(previous, {}, allows_code_change=True)
    try:
        log_to_file(directory / LOG_FILE)
        check_planned(job, code)
        dataset = _Worker.load(job)
        start_for(job.config)
        forget_peak_memory()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            sinks, console = _Worker.sinks(job), Console(file=nowhere)
            session = Session(
                job, dataset, directory, sinks, console, before, sweep=sweep, kept=_Worker.kept
            )
            record = session.run()
        return JobOutcome(JobStatus.FINISHED, record=record)
    except (KeyboardInterrupt, Terminated):
        return JobOutcome(JobStatus.KILLED)
    except (Exception, SystemExit) as failure:  # noqa: BLE001  is reported; the other jobs continue
        _log.exception("the job failed")
        reason = redacted(f"{type(failure).__name__}: {failure}")
        return JobOutcome(JobStatus.FAILED, reason, is_disk_full=_is_disk_full(failure))


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk or an exceeded quota is the cause of an error, directly or not."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
