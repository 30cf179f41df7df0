"""Whether a run that is recorded as running still is."""

import platform

import psutil

from expt.runs.record_parts import Status
from expt.runs.records import Record

_CLOCK_SLACK = 1.0  # seconds by which two readings of a start may differ


def is_alive(record: Record) -> bool | None:
    """Tells whether the process that trains a run still lives.

    The start is compared too: numbers of processes are given again.

    Args:
        record: The run's, or a sweep's.

    Returns:
        None if that can't be told: the process is another host's, or was not recorded.
    """
    process = record.process
    if process is None or process.host != platform.node():
        return None
    if process.id is None or process.started is None:
        return None
    try:
        found = psutil.Process(process.id)
        with found.oneshot():
            # Killed, but its parent has not yet asked how it ended.
            is_zombie = found.status() == psutil.STATUS_ZOMBIE
            return not is_zombie and abs(found.create_time() - process.started) <= _CLOCK_SLACK
    # A damaged record may hold numbers that no process can have.
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def status_of(record: Record) -> Status:
    """Returns a run's status: KILLED, not RUNNING, if the process has died without saying so."""
    has_died = record.status is Status.RUNNING and is_alive(record) is False
    return Status.KILLED if has_died else record.status
