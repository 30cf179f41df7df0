"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def schedulable_cores() -> int:
    """Returns how many cores the system may run this process on, as TensorFlow counts them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows


def usable_cores() -> int:
    """Returns how many cores this process can keep busy: at most its container's quota, rounded up.

    A container of half a core on a machine of 64 is scheduled on all of them, but only for a share
    of the time.
    """
    quota = min(_quotas(Path("/")), default=math.inf)
    return schedulable_cores() if math.isinf(quota) else min(schedulable_cores(), math.ceil(quota))


def _quotas(root: Path) -> Iterator[float]:
    """Yields the limits, in cores, of this process's control group and those above it.

    Args:
        root: Of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, named = line.partition(":")
        controllers, _, group = named.partition(":")
        read = _quota_of_version_1 if controllers else _quota_of_version_2
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inside = mount / group.lstrip("/")
        # Within a container the group may have another path, and the mount is the group itself.
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(mount):
                with suppress(OSError, ValueError, ZeroDivisionError):
                    yield read(folder)


def _quota_of_version_1(folder: Path) -> float:
    quota, period = (int((folder / f"cpu.cfs_{n}_us").read_text()) for n in ("quota", "period"))
    return quota / period if quota > 0 else math.inf


def _quota_of_version_2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)
