"""A disk that fills up while a run trains, saves a checkpoint, or belongs to a sweep."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

import ready_processes
from conftest import Command
from expt.record.journal import read_journal
from expt.train.checkpoint import checkpoint_files, read_checkpoint
from resume.interrupting import assert_same
from resume.stores import assert_stores_agree

COMMON = ("loop.image_every=null", "schedule=cosine", "loop.save_every=10")
SMALL = ("model.units=[8]", "loop.epochs=60", *COMMON)
LARGE = ("model.units=[500,500]", "loop.epochs=20", *COMMON)
FULL = ("No space left on device", "File too large")


@dataclass(frozen=True)
class SmallDisk:
    """A small disk in memory; if mounting is not permitted, a limit on the size of each file."""

    folder: Path
    is_mounted: bool
    file_size: int

    def run(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command on the disk."""
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (self.file_size, -1))
        return ready_processes.run(
            [sys.executable, "-m", f"expt.{command}", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=None if self.is_mounted else limit,
        )

    def grow(self) -> "SmallDisk":
        """Returns the disk with enough space."""
        if self.is_mounted:
            mount = ["mount", "-o", "remount,size=200m", str(self.folder)]
            subprocess.run(mount, check=True)
        return SmallDisk(self.folder, self.is_mounted, -1)


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[object]:
    made: list[Path] = []

    def make(size: int, file_size: int) -> SmallDisk:
        folder = tmp_path / "disk"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        is_mounted = (
            shutil.which("mount") is not None
            and subprocess.run(["mount", *options], capture_output=True, check=False).returncode
            == 0
        )
        if is_mounted:
            made.append(folder)
        return SmallDisk(folder, is_mounted, file_size)

    yield make
    for folder in made:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def assert_reported(done: "subprocess.CompletedProcess[str]", place: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert any(text in message for text in FULL)
    assert place in message
    (command,) = [line for line in done.stderr.splitlines() if "python -m expt.resume" in line]
    assert command.startswith("To continue: python -m expt.resume ")


def assert_intact(directory: Path) -> None:
    assert list(read_journal(directory / "metrics.jsonl"))
    for file in checkpoint_files(directory / "checkpoints"):
        read_checkpoint(file)
    assert not list(directory.rglob("partial-*"))


@pytest.mark.parametrize(
    ("config", "size", "file_size", "place"),
    [
        # The journal would grow to twice this size; it or a small checkpoint fills the disk.
        (SMALL, 200_000, 100_000, ""),
        # The first checkpoint fits on the disk, the second one does not.
        (LARGE, 7_000_000, 1_000_000, "checkpoint"),
    ],
    ids=["journal", "checkpoint"],
)
def test_full_disk_is_reported_and_the_run_can_be_resumed_once_there_is_space(
    tmp_path: Path,
    make_disk: object,
    run_command: Command,
    config: Sequence[str],
    size: int,
    file_size: int,
    place: str,
) -> None:
    assert callable(make_disk)
    disk = make_disk(size, file_size)
    directory = disk.folder / "run"
    given = [*config, f"hydra.run.dir={directory}", "recorder=[]"]
    done = disk.run("run", *given)
    assert_reported(done, place)
    assert_intact(directory)
    before = list(read_journal(directory / "metrics.jsonl"))

    resumed = disk.grow().run("resume", str(directory))
    assert resumed.returncode == 0, resumed.stderr
    assert list(read_journal(directory / "metrics.jsonl"))[: len(before)] == before
    whole = tmp_path / "whole"
    done = run_command(*config, f"hydra.run.dir={whole}", "recorder=[]", folder=tmp_path)
    assert done.code == 0, done.error
    assert_same(directory, whole)


def test_sinks_on_a_full_disk_catch_up(make_disk: object) -> None:
    assert callable(make_disk)
    disk = make_disk(3_000_000, 60_000)
    directory = disk.folder / "run"
    done = disk.run("run", *(LARGE if disk.is_mounted else SMALL), f"hydra.run.dir={directory}")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    resumed = disk.grow().run("resume", str(directory))
    assert resumed.returncode == 0, resumed.stderr
    assert_stores_agree(directory, f"sqlite:///{disk.folder}/outputs/mlflow.db")


SWEEP = ("-m", "seed=0,1,2", "sweep.workers=1", "loop.image_every=null", "recorder=[]")


def test_sweep_on_a_full_disk_ends_and_can_be_resumed_once_there_is_space(
    tmp_path: Path, make_disk: object, run_command: Command
) -> None:
    assert callable(make_disk)
    # Space for one and a half jobs; without a mount, less than the journal of one job.
    disk = make_disk(400_000, 100_000)
    directory = disk.folder / "sweep"
    given = [*SWEEP, "model.units=[8]", "loop.epochs=40"]
    done = disk.run("run", *given, f"hydra.sweep.dir={directory}")
    assert_reported(done, "")
    # The full disk may have kept the last statuses out of the plan; resuming must work anyway.
    jobs = json.loads((directory / "sweep.json").read_text())["jobs"]
    assert {job["status"] for job in jobs} <= {"FINISHED", "KILLED", "RUNNING", "PENDING"}
    assert jobs[-1]["status"] == "PENDING"
    assert not list(directory.rglob("partial-*"))

    resumed = disk.grow().run("resume", str(directory))
    assert resumed.returncode == 0, resumed.stderr
    whole = tmp_path / "whole"
    done = run_command(*given, f"hydra.sweep.dir={whole}", folder=tmp_path)
    assert done.code == 0, done.error
    for job in jobs:
        assert_same(directory / job["directory"], whole / job["directory"])
