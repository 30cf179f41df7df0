"""What else can change a run's numbers: versions, machine and environment."""

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
# Libraries that compute, by the prefixes of the variables that they read.
_PREFIXES = tuple(
    f"{name}_"
    for name in (
        *("TF", "XLA", "KERAS", "EXPT", "ONEDNN", "DNNL", "OMP", "GOMP", "KMP", "MKL", "OPENBLAS"),
        *("CUDA", "CUDNN", "CUBLAS", "NCCL", "NVIDIA", "HIP", "ROCM"),
    )
)
_NAMES = ("PYTHONHASHSEED", "LD_PRELOAD", "LD_LIBRARY_PATH")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that matter for a run."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """Returns what the run ran on: `cores` are those it could use, `memory` is in bytes."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "cores": usable_cores(),
        "memory": psutil.virtual_memory().total,
    }


def process() -> dict[str, Any]:
    """Returns which process this is, so that others can tell later whether it still lives."""
    this = psutil.Process()
    return {"host": platform.node(), "id": this.pid, "started": this.create_time()}


def peak_memory() -> int | None:
    """Returns the most memory, in bytes, that this process has held since it began.

    `forget_peak_memory` begins anew. None where the system does not tell.
    """
    try:
        # Unlike getrusage, it leaves out what the parent held when it started this process.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes


def forget_peak_memory() -> None:
    """Leaves out of `peak_memory` what the process took before and has given back, on Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def environment() -> dict[str, str]:
    """Returns the environment variables that can change numbers or speed; no secrets."""
    return {
        name: redacted(value)
        for name, value in sorted(os.environ.items())
        if (name in _NAMES or name.startswith(_PREFIXES)) and not looks_secret(name)
    }


def _cpu_model() -> str:
    """Linux alone says more than the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
