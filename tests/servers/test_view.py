"""The folder of links that TensorBoard reads."""

import shutil
from pathlib import Path

import pytest

from expt.errors import UserError
from expt.servers.view import View
from servers.made_folder import make_run, make_sweep


@pytest.fixture
def output_dir(tmp_path: Path) -> Path:
    make_run(tmp_path / "outputs/runs/day/a", 1, "relu-s0")
    make_sweep(tmp_path / "outputs/sweeps/day/b", 2, 2, "act-seed")
    return tmp_path / "outputs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "view"
    folder.mkdir()
    return folder


def _files(folder: Path) -> set[str]:
    links = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    assert all(link.is_symlink() and link.exists() for link in links)
    return {path.relative_to(folder).as_posix() for path in links}


_ALL = {
    "relu-s0/train/events.out.tfevents.1",
    "relu-s0/val/events.out.tfevents.1",
    "act-seed/job-0/events.out.tfevents.3",
    "act-seed/job-1/events.out.tfevents.4",
}


def test_view_of_a_sweep_has_only_validation(output_dir: Path, folder: Path) -> None:
    view = View(folder, output_dir)
    assert _files(folder) == _ALL
    target = (folder / "act-seed/job-0/events.out.tfevents.3").resolve()
    assert target == output_dir / "sweeps/day/b/0_job/val/events.out.tfevents.3"
    assert view.num_runs == 3


def test_refresh_follows_new_and_removed_runs(output_dir: Path, folder: Path) -> None:
    view = View(folder, output_dir)
    (output_dir / "runs/day/a/val/events.out.tfevents.1").replace(
        output_dir / "runs/day/a/val/events.out.tfevents.8"  # as a resumed run does
    )
    shutil.rmtree(output_dir / "sweeps/day/b/1_job")
    make_run(output_dir / "runs/day/c", 9, "tanh-s0")
    view.refresh()
    assert _files(folder) == {
        "relu-s0/train/events.out.tfevents.1",
        "relu-s0/val/events.out.tfevents.8",
        "act-seed/job-0/events.out.tfevents.3",
        "tanh-s0/train/events.out.tfevents.9",
        "tanh-s0/val/events.out.tfevents.9",
    }
    assert not (folder / "act-seed/job-1").exists()


def test_view_has_only_named_runs(output_dir: Path, folder: Path) -> None:
    view = View(folder, output_dir, ["job-1"])
    assert _files(folder) == {f"job-1/{split}/events.out.tfevents.4" for split in ("train", "val")}
    shutil.rmtree(output_dir / "sweeps/day/b/1_job")
    view.refresh()  # a missing run is an error only at the start
    with pytest.raises(UserError, match="job-1"):
        View(folder, output_dir, ["job-1"])


def test_traces_and_files_of_earlier_versions(output_dir: Path, folder: Path) -> None:
    run, job = output_dir / "runs/day/a", output_dir / "sweeps/day/b/0_job"
    for directory in (run, job):
        (directory / "train/plugins/profile").mkdir(parents=True)
        (directory / "events.out.tfevents.0").touch()
    View(folder, output_dir)
    assert _files(folder) == _ALL | {
        *("relu-s0/val/events.out.tfevents.0", "relu-s0/train/plugins"),
        *("act-seed/job-0/events.out.tfevents.0", "act-seed/job-0/plugins"),
    }
    assert (folder / "act-seed/job-0/plugins/profile").is_dir()
