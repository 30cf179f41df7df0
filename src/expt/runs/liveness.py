"""Checks whether a run that is recorded as RUNNING is still alive."""

import platform

import psutil

from expt.runs.record_parts import Status
from expt.runs.records import Record

_CLOCK_SLACK = 1.0  # seconds by which two readings of a process's start time may differ


def is_alive(record: Record) -> bool | None:
    """Whether the process that trains a run or a sweep is still alive.

    The start times are compared as well, because the system reuses process ids.

    Args:
        record: Record of the run or the sweep.

    Returns:
        None if unknown: the process runs on another host, or was not recorded.
    """
    process = record.process
    if process is None or process.host != platform.node():
        return None
    if process.id is None or process.started is None:
        return None
    try:
        found = psutil.Process(process.id)
        with found.oneshot():
            # A zombie has ended; only its parent has not yet read its exit code.
            is_zombie = found.status() == psutil.STATUS_ZOMBIE
            return not is_zombie and abs(found.create_time() - process.started) <= _CLOCK_SLACK
    # ValueError, OverflowError: a damaged record may contain ids that no process can have.
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def status_of(record: Record) -> Status:
    """Returns the status of a run or a sweep; KILLED instead of RUNNING if its process has died."""
    has_died = record.status is Status.RUNNING and is_alive(record) is False
    return Status.KILLED if has_died else record.status
