"""The functions that a worker process of a sweep runs: check a job, train a job."""

import errno
import logging
import os
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from expt.config.compose import Job
from expt.config.sources import Code
from expt.errors import Terminated, UserError
from expt.record.log_files import LOG_FILE, log_to_file
from expt.record.streams import keep_streams_open
from expt.runs.environment import forget_peak_memory
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.runs.run import Earlier, Membership
from expt.runs.secrets import install_log_redaction, redacted
from expt.sweep.code_changes import check_planned
from expt.sweep.jobs import JobOutcome
from expt.train.backend import reserve_threads, start_for, start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.recorders import Sinks

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedJob:
    """The result of a job's check.

    Attributes:
        error: What is wrong with the job, if anything is.
        is_users: Whether the error is the user's; else it is a traceback.
        seconds: About how long the job takes, if that was asked.
    """

    error: str | None = None
    is_users: bool = True
    seconds: float | None = None


class _Worker:
    """The state of this process: data and sinks, kept from job to job."""

    load: DataLoader
    sinks: Sinks


def prepare(
    threads: int, operations: int, environment: Mapping[str, str], load: DataLoader
) -> None:
    """Prepares the process, TensorFlow included.

    Args:
        threads: Of a TensorFlow operation.
        operations: How many of them run at once.
        environment: What is added to the environment.
        load: Loads the data of jobs.
    """
    keep_streams_open()
    install_log_redaction()
    logging.raiseExceptions = False
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.update(environment)
    tempfile.tempdir = None  # it is looked up again
    reserve_threads(threads)
    _Worker.load, _Worker.sinks = load, Sinks(with_mlflow=False)
    start_tensorflow(0, threads=threads, operations=operations)
    import expt.train.session
    import expt.train.timing  # noqa: F401


def check(job: Job, is_measured: bool, code: Code | None) -> CheckedJob:
    """Trains one batch of a job without recording anything, and measures its speed if asked to.

    Args:
        job: The frozen config.
        is_measured: Whether to report about how long the job takes.
        code: The code that the job was planned with; None if that was not recorded.
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
    except (Exception, SystemExit) as error:  # noqa: BLE001  of a user's part, most likely
        return CheckedJob(redacted("".join(traceback.format_exception(error))), is_users=False)


def train(
    job: Job,
    directory: Path,
    earlier: RunRecord | None,
    sweep: Membership,
    code: Code | None,
) -> JobOutcome:
    """Trains a job.

    Args:
        job: The frozen config.
        directory: Of its run.
        earlier: The content of the run.json that a previous process left.
        sweep: The sweep that the job belongs to.
        code: The code that the job was planned with; a run may continue with it.
    """
    from expt.train.session import Session

    before = None if earlier is None else Earlier(earlier, {}, allows_code_change=True)
    try:
        log_to_file(directory / LOG_FILE)
        check_planned(job, code)
        dataset = _Worker.load(job)
        start_for(job.config)
        forget_peak_memory()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            sinks, console = _Worker.sinks(job), Console(file=nowhere)
            record = Session(job, dataset, directory, sinks, console, before, sweep=sweep).run()
        return JobOutcome(JobStatus.FINISHED, record=record)
    except (KeyboardInterrupt, Terminated):
        return JobOutcome(JobStatus.KILLED)
    except (Exception, SystemExit) as failure:  # noqa: BLE001  is reported; the other jobs continue
        _log.exception("the job failed")
        reason = redacted(f"{type(failure).__name__}: {failure}")
        return JobOutcome(JobStatus.FAILED, reason, is_disk_full=_is_disk_full(failure))


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
