"""Number of cores that this process may use."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def schedulable_cores() -> int:
    """Returns the number of cores that the system may run this process on, as TensorFlow counts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows


def usable_cores() -> int:
    """Returns the number of cores that this process can keep busy.

    This takes into account the CPU quota of a container, rounded up: a container limited to half a
    core on a machine with 64 may be scheduled on all 64, but only for a fraction of the time.
    """
    quota = min(_quotas(Path("/")), default=math.inf)
    return schedulable_cores() if math.isinf(quota) else min(schedulable_cores(), math.ceil(quota))


def _quotas(root: Path) -> Iterator[float]:
    """Yields the CPU limits of this process's control group and of all groups above it.

    Args:
        root: Root of the file system.

    Yields:
        Limits in cores; infinity for groups without a limit.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, named = line.partition(":")
        controllers, _, group = named.partition(":")
        read = _read_quota_v1 if controllers else _read_quota_v2
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inside = mount / group.lstrip("/")
        # Inside a container, the path of the group is often that of the host, which does not exist
        # here; the mount itself is then the group. Hence all folders above are tried as well.
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(mount):
                with suppress(OSError, ValueError, ZeroDivisionError):
                    yield read(folder)


def _read_quota_v1(folder: Path) -> float:
    """Reads the limit in cores of a group of cgroup v1, where a negative quota is no limit."""
    quota, period = (int((folder / f"cpu.cfs_{n}_us").read_text()) for n in ("quota", "period"))
    return quota / period if quota > 0 else math.inf


def _read_quota_v2(folder: Path) -> float:
    """Reads the limit in cores of a group of cgroup v2."""
    quota, period = (folder / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)
