"""Whether a run that is recorded as running still is."""

import platform
from collections.abc import Mapping
from typing import Any

import psutil

_CLOCK_SLACK = 1.0  # seconds by which two readings of a start may differ


def is_alive(record: Mapping[str, Any]) -> bool | None:
    """Tells whether the process that trains a run still lives.

    The start is compared too: numbers of processes are given again.

    Args:
        record: The content of the run's run.json.

    Returns:
        None if that can't be told: the process is another host's, or was not recorded.
    """
    process = record.get("process")
    if not isinstance(process, Mapping) or process.get("host") != platform.node():
        return None
    number, started = process.get("id"), process.get("started")
    if not isinstance(number, int) or not isinstance(started, int | float):
        return None
    try:
        found = psutil.Process(number)
        with found.oneshot():
            # Killed, but its parent has not yet asked how it ended.
            is_zombie = found.status() == psutil.STATUS_ZOMBIE
            return not is_zombie and abs(found.create_time() - started) <= _CLOCK_SLACK
    # A damaged record may hold numbers that no process can have.
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def status_of(record: Mapping[str, Any]) -> str:
    """Returns a run's status: KILLED, not RUNNING, if the process has died without saying so."""
    status = str(record["status"])
    return "KILLED" if status == "RUNNING" and is_alive(record) is False else status
