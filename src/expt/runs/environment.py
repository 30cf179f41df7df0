"""Versions, machine and environment variables of a run, which can change its numbers or speed."""

import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from expt.runs.cores import usable_cores
from expt.runs.secrets import looks_secret, redacted

_PACKAGES = ("expt", "tensorflow", "keras", "numpy", "hydra-core", "mlflow", "tensorboard")
# Prefixes of the environment variables of numerical libraries.
_PREFIXES = tuple(
    f"{name}_"
    for name in (
        *("TF", "XLA", "KERAS", "EXPT", "ONEDNN", "DNNL", "OMP", "GOMP", "KMP", "MKL", "OPENBLAS"),
        *("CUDA", "CUDNN", "CUBLAS", "NCCL", "NVIDIA", "HIP", "ROCM"),
    )
)
_NAMES = ("PYTHONHASHSEED", "LD_PRELOAD", "LD_LIBRARY_PATH")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that affect a run."""
    # From the metadata: importing the packages would take seconds.
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """Returns a description of this machine.

    `cpus` is the number of logical CPUs, `cores` the number that this process may use. `memory` is
    in bytes.
    """
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "cores": usable_cores(),
        "memory": psutil.virtual_memory().total,
    }


def process() -> dict[str, Any]:
    """Returns host, id and start time of this process; see `liveness.is_alive`."""
    this = psutil.Process()
    return {"host": platform.node(), "id": this.pid, "started": this.create_time()}


def peak_memory() -> int | None:
    """Returns the peak memory of this process in bytes, since its start or `forget_peak_memory`.

    Returns:
        The peak resident memory; None if the system does not report it.
    """
    try:
        # Unlike getrusage, this excludes the memory of the parent before it started this process.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def forget_peak_memory() -> None:
    """Resets the peak memory to the current memory, on Linux; does nothing elsewhere.

    A worker of a sweep calls it before each job, so that the peak is not that of an earlier job.
    """
    with suppress(OSError):
        # 5 resets VmHWM; see proc(5).
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def environment() -> dict[str, str]:
    """Returns the environment variables that can change numbers or speed, without secrets."""
    return {
        name: redacted(value)
        for name, value in sorted(os.environ.items())
        if (name in _NAMES or name.startswith(_PREFIXES)) and not looks_secret(name)
    }


def _cpu_model() -> str:
    """Returns the model of the CPU; on systems other than Linux, often only its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
