"""Tests of the number of usable cores, with CPU quotas of containers."""

import os
from pathlib import Path

import pytest

from expt.runs import cores
from expt.runs.cores import schedulable_cores, usable_cores

V1, V2 = "3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n0::/\n", "0::/user.slice/job\n"


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 64 cores and an empty file system, for control groups made by the tests."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "Path", lambda path: tmp_path / str(path).lstrip("/"))


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def v1(folder: str, quota: int) -> dict[str, str]:
    place = f"sys/fs/cgroup/cpu{folder}"
    return {
        f"{place}/cpu.cfs_quota_us": f"{quota}\n",
        f"{place}/cpu.cfs_period_us": "100000\n",
    }


@pytest.mark.usefixtures("quota")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64),
        ({"proc/self/cgroup": V2}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "5000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nothing\n"}, 64),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": V1, **v1("", -1), **v1("/docker/abc", 400_000)}, 4),
        ({"proc/self/cgroup": V1, **v1("", 400_000)}, 4),  # as seen inside a container
        ({"proc/self/cgroup": V1, **v1("", 200_000), **v1("/docker/abc", 400_000)}, 2),
        ({"proc/self/cgroup": V1, **v1("", -1)}, 64),
        ({"proc/self/cgroup": "2:cpuset:/\n", **v1("", 400_000)}, 64),
    ],
)
def test_quota_of_container_limits_usable_cores(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    put(tmp_path, files)
    assert usable_cores() == expected


@pytest.mark.usefixtures("quota")
def test_quota_does_not_limit_schedulable_cores(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"})
    assert schedulable_cores() == 64


@pytest.mark.usefixtures("quota")
def test_all_cores_count_without_cpu_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert schedulable_cores() == usable_cores() == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert schedulable_cores() == usable_cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPU affinity is not supported")
def test_cpu_affinity_limits_usable_cores() -> None:
    allowed = os.sched_getaffinity(0)
    assert schedulable_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert schedulable_cores() == usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
