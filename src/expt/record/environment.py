"""What else can change a run's numbers: code, versions and machine."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("expt", "tensorflow", "keras", "numpy", "hydra-core", "mlflow", "tensorboard")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that matter for a run."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """Returns what the run ran on, and which process it was."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "process": os.getpid(),
    }


def git_state(directory: Path) -> dict[str, Any] | None:
    """Returns the commit and whether files differ from it; None outside a git checkout."""
    commit = _git(directory, "rev-parse", "HEAD")
    changes = _git(directory, "status", "--porcelain")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments), cwd=directory, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
