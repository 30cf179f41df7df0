"""Runs in processes of their own, killed with signal 9."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import ready_processes


def start(overrides: Sequence[str], directory: Path, root: Path) -> "subprocess.Popen[str]":
    """Starts a run, or resumes the one that the directory holds."""
    command = ["expt.run", f"hydra.run.dir={directory}", *overrides]
    if (directory / "run.json").exists():
        command = ["expt.resume", str(directory), "output_dir=outputs"]
    return ready_processes.Popen(
        [sys.executable, "-m", *command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(process: "subprocess.Popen[str]", directory: Path, after: float, in_save: bool) -> str:
    """Kills a process after some seconds, and then, if asked for, in its next save."""
    partial, end = directory / "checkpoints" / "partial-checkpoint.npz", time.monotonic() + after
    while process.poll() is None:
        is_saving = partial.exists()
        if time.monotonic() >= end and (is_saving or not in_save):
            process.kill()
            process.communicate()
            return "killed in a save" if partial.exists() else "killed"
        time.sleep(0.0005)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return "ended"
