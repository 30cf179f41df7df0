"""What a worker process of a sweep does: it checks jobs, and trains one after another."""

import errno
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.compose import Job
from expt.config.sources import Code
from expt.errors import Terminated, UserError
from expt.record.streams import keep_streams_open
from expt.runs.environment import forget_peak_memory
from expt.runs.records import RunRecord
from expt.runs.run import Earlier, Membership
from expt.runs.secrets import install_log_redaction, redacted
from expt.sweep.code import check_planned
from expt.sweep.plan import JobStatus
from expt.train.backend import reserve_threads, start_for, start_tensorflow
from expt.train.data_loading import DataLoader
from expt.record.log_files import LOG_FILE, log_to_file
from expt.train.recorders import Sinks

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """What came of a job's check.

    Attributes:
        error: What is wrong with it, if anything is.
        is_users: Whether the user can mend that; else it is a traceback.
        seconds: About how long the job takes, if that was asked.
    """

    error: str | None = None
    is_users: bool = True
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: FINISHED, FAILED or KILLED.
        error: Why it failed.
        record: The content of its run.json.
        is_disk_full: Whether it failed because there is no space left, as others would.
    """

    status: JobStatus
    error: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    is_disk_full: bool = False


class _Worker:
    """What is kept from job to job: the data and the sinks."""

    load: DataLoader
    sinks: Sinks


def begin(threads: int, operations: int, environment: Mapping[str, str], load: DataLoader) -> None:
    """Prepares the process, TensorFlow included.

    Args:
        threads: That an operation takes.
        operations: That may run at once.
        environment: What is added to the environment.
        load: Loads the data of jobs.
    """
    os.setsid()  # a Ctrl-C is for the parent, which passes it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_streams_open()
    install_log_redaction()
    logging.raiseExceptions = False
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.update(environment)
    tempfile.tempdir = None  # is looked for anew
    reserve_threads(threads)
    _Worker.load, _Worker.sinks = load, Sinks(with_mlflow=False)
    start_tensorflow(0, threads=threads, operations=operations)
    import expt.train.session
    import expt.train.timing  # noqa: F401


def check(job: Job, is_measured: bool, code: Code | None) -> Checked:
    """Takes a batch through a job, and measures its speed if asked to.

    Args:
        job: The frozen config.
        is_measured: Whether to report about how long the job takes.
        code: What was planned; None if that was not recorded.
    """
    from expt.train.program import make_program
    from expt.train.timing import estimate_seconds

    try:
        check_planned(job, code)
        dataset = _Worker.load(job)
        start_for(job.config)
        program = make_program(job, dataset)
        program.check()
        return Checked(seconds=estimate_seconds(program) if is_measured else None)
    except UserError as error:
        return Checked(redacted(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  of a user's part, most likely
        return Checked(redacted("".join(traceback.format_exception(error))), is_users=False)


def train(
    job: Job,
    directory: Path,
    earlier: RunRecord | None,
    sweep: Membership,
    code: Code | None,
) -> Outcome:
    """Trains a job.

    Args:
        job: The frozen config.
        directory: Of its run.
        earlier: The content of the run.json that an earlier process left.
        sweep: What the job belongs to.
        code: What was planned; the sweep has decided that the run may continue with that.
    """
    from expt.train.session import run_job

    before = None if earlier is None else Earlier(earlier, {}, allows_code_change=True)
    try:
        log_to_file(directory / LOG_FILE)
        check_planned(job, code)
        dataset = _Worker.load(job)
        start_for(job.config)
        forget_peak_memory()
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            sinks, console = _Worker.sinks(job), Console(file=nowhere)
            record = run_job(job, dataset, directory, sinks, console, before, sweep=sweep)
        return Outcome(JobStatus.FINISHED, record=record)
    except (KeyboardInterrupt, Terminated):
        return Outcome(JobStatus.KILLED)
    except (Exception, SystemExit) as failure:  # noqa: BLE001  told; the other jobs go on
        _log.exception("the job failed")
        reason = redacted(f"{type(failure).__name__}: {failure}")
        return Outcome(JobStatus.FAILED, reason, is_disk_full=_is_disk_full(failure))


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
