"""What a worker process of a sweep does: one job after another."""

import logging
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from expt.assembly import DataLoader, Sinks
from expt.config.compose import Job
from expt.errors import Terminated
from expt.launch import LOG_FILE, log_to
from expt.record.run import Earlier
from expt.record.secrets import install_log_redaction, redacted
from expt.sweep.plan import JobStatus
from expt.train.backend import start_tensorflow, use_threads

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: FINISHED, FAILED or KILLED.
        error: Why it failed.
        values: The final metrics.
        memory: Bytes that the worker has in memory now.
    """

    status: JobStatus
    error: str | None
    values: dict[str, float]
    memory: int


class _Worker:
    """What is kept from job to job: the data, and sinks that live in processes of their own."""

    load: DataLoader
    sinks: Sinks


def begin(threads: int) -> None:
    """Prepares the process.

    Args:
        threads: That an operation may take.
    """
    os.setsid()  # a Ctrl-C is for the parent, which passes it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    install_log_redaction()
    logging.raiseExceptions = False
    use_threads(threads)
    _Worker.load, _Worker.sinks = DataLoader(), Sinks()


def train(job: Job, directory: Path, earlier: dict[str, Any] | None) -> Outcome:
    """Trains a job.

    Args:
        job: The frozen config.
        directory: Of its run.
        earlier: The content of the run.json that an earlier process left.
    """
    log_to(directory / LOG_FILE)
    status, error, values = JobStatus.FINISHED, None, {}
    try:
        dataset = _Worker.load(job)
        start_tensorflow(job.config["seed"], job.config["loop"]["precision"])
        from expt.job import run_job

        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            sinks, console = _Worker.sinks(job), Console(file=nowhere)
            before = None if earlier is None else Earlier(earlier, {})
            record = run_job(job, dataset, directory, sinks, console, before)
        values = record["final"]
    except (KeyboardInterrupt, Terminated):
        status = JobStatus.KILLED
    except Exception as failure:  # noqa: BLE001  told; the other jobs go on
        _log.exception("the job failed")
        status, error = JobStatus.FAILED, redacted(f"{type(failure).__name__}: {failure}")
    return Outcome(status, error, values, psutil.Process().memory_info().rss)


def end() -> None:
    """Lets the sinks' processes end."""
    _Worker.sinks.stop()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
