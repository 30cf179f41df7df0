"""The end of a run: its final status, however training has ended, and what the doctor finds."""

import errno
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expt.errors import RunError, Terminated
from expt.record.recorder import Recorder
from expt.runs.environment import peak_memory
from expt.runs.run import Run, Status
from expt.runs.secrets import redacted
from expt.train.backend import part_errors_as_run_errors
from expt.train.doctor import diagnose
from expt.train.executors import Executor

_log = logging.getLogger(__name__)


@contextmanager
def closing(executor: Executor, run: Run, recorder: Recorder, *, is_last: bool) -> Iterator[None]:
    """Closes the run and its recorder, with the status that corresponds to how the block ended.

    If `doctor` is true in the config, the training doctor examines the run, unless the run was
    interrupted.

    Args:
        executor: The executor that trains.
        run: The run.
        recorder: The recorder of the run.
        is_last: Whether this process is the last one that updates run.json. A job of a sweep is
            marked as closed by the sweep.
    """
    # FAILED by default, so that no exit can leave a run RUNNING.
    outcome: dict[str, Any] = {"status": Status.FAILED, "error": None}
    config = executor.program.job.config
    try:
        with part_errors_as_run_errors(config), disk_errors_as_run_errors(run.directory):
            yield
        outcome["status"] = Status.FINISHED
    except (KeyboardInterrupt, Terminated) as interrupted:
        outcome |= {"status": Status.KILLED, "error": type(interrupted).__name__}
        raise
    except (Exception, SystemExit) as failure:
        outcome["error"] = redacted(f"{type(failure).__name__}: {failure}")
        outcome["traceback"] = redacted("".join(traceback.format_exception(failure)))
        _log.info("the run failed", exc_info=failure)
        raise
    finally:
        # The status is written before the sinks are completed, which can take long. `closed` is
        # written after them: if it is missing, `expt.resume` completes the run.
        _update_record(run, **outcome, ended=time.time(), peak_memory=peak_memory())
        if config.doctor and outcome["status"] is not Status.KILLED:
            _examine(executor, run)
        recorder.close(outcome["status"])
        if is_last:
            _update_record(run, closed=True)


def _examine(executor: Executor, run: Run) -> None:
    """Records what the training doctor finds."""
    found = diagnose(executor, run)
    _update_record(run, findings=[asdict(finding) for finding in found])


def _update_record(run: Run, **values: Any) -> None:
    """Updates run.json; a failure is logged, because the run must be closed in any case."""
    try:
        run.update(**values)
    except OSError as error:
        names = ", ".join(values)
        _log.warning("run.json can't be written; it lacks %s: %s", names, error)


@contextmanager
def disk_errors_as_run_errors(directory: Path) -> Iterator[None]:
    """Re-raises the errors of a full disk or quota as `RunError`, with the way to continue."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise RunError(
            f"{error.filename or directory} can't be written: {error.strerror}. All records so far "
            "are intact.\nFree some disk space.\n"
            f"To continue: python -m expt.resume {directory}"
        ) from error
