"""What else can change a run's numbers: code, versions, machine and environment."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from expt.record.secrets import looks_secret, redacted

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
_LONGEST_DIFF = 1_000_000  # bytes


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
        "cores": len(os.sched_getaffinity(0)),
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


def git_state(directory: Path) -> dict[str, Any] | None:
    """Returns the commit and whether files differ from it; None outside a git checkout."""
    commit = _git(directory, "rev-parse", "HEAD")
    changes = _git(directory, "status", "--porcelain")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def git_diff(directory: Path) -> str | None:
    """Returns how files differ from the commit; None outside a git checkout.

    Files that git does not know are named above the diff (a folder of them by its own name),
    which `git apply` passes over. Secrets are hidden, and what is beyond 1 MB is left out.
    """
    listing = ("ls-files", "--others", "--exclude-standard", "--directory", "--full-name", ":/")
    unknown = _git(directory, *listing)
    diff = _git(directory, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv")
    if unknown is None or diff is None:
        return None
    text = ""
    if unknown:
        text = "".join(f"# not known to git: {name}\n" for name in unknown.splitlines())
    if diff:
        text += f"{diff}\n"
    return _shortened(redacted(text))


def _shortened(text: str) -> str:
    """Cuts a diff that is too long after a whole line."""
    encoded = text.encode()
    if len(encoded) <= _LONGEST_DIFF:
        return text
    kept = encoded[:_LONGEST_DIFF].rpartition(b"\n")[0].decode(errors="replace")
    return f"{kept}\n# cut off here: the diff has {len(encoded):,} bytes\n"


def _git(directory: Path, *arguments: str) -> str | None:
    """Returns what git prints, but for line ends at its end; None if it fails."""
    try:
        done = subprocess.run(
            ("git", *arguments),
            cwd=directory,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.rstrip("\n")


def _cpu_model() -> str:
    """Linux alone says more than the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
