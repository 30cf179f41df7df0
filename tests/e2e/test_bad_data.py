"""Unusable data of a user, on the command line: one message, and no file changes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contracts.example_data import image_folder

Command = Callable[..., Any]

ROWS = [f"{i},{'ab'[i % 2]},{'xy'[i % 2]}" for i in range(40)]


def write_table(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["size,kind,target", *lines]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_table(folder / "good.csv", *ROWS)
    write_table(folder / "ragged.csv", *ROWS, "1,a")
    write_table(folder / "text.csv", *ROWS, "12a,a,x")
    write_table(folder / "rare.csv", *ROWS, "1,a,z")
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    np.savez(folder / "other_names.npz", a=x, b=y)
    np.savez(folder / "lengths.npz", x=x, y=y[:-1])
    np.savez(folder / "nan.npz", x=np.where(x > 2, np.nan, x), y=y)
    np.savez(folder / "negative.npz", x=x, y=y - 1)
    np.savez(folder / "good.npz", x=x, y=y.astype(np.float32) - 1)
    (folder / "cut.npz").write_bytes((folder / "nan.npz").read_bytes()[:200])
    for name in ("sizes", "cut", "one_class", "lonely", "empty"):
        (folder / name).mkdir()
    for name in ("sizes", "cut", "lonely"):
        image_folder(folder / name)
    Image.new("RGB", (9, 8)).save(folder / "sizes" / "cat" / "5.png")
    file = folder / "cut" / "dog" / "7.png"
    file.write_bytes(file.read_bytes()[:-30])
    for file in (folder / "lonely" / "dog").iterdir():
        if file.name != "0.png":
            file.unlink()
    (folder / "one_class" / "cat").mkdir()
    Image.new("L", (8, 8)).save(folder / "one_class" / "cat" / "0.png")
    return folder


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data=csv data.path=good.csv data.target=tarjet", "Did you mean 'target'?"),
        ("data=csv data.path=ragged.csv data.target=target", "line 42"),
        ("data=csv data.path=text.csv data.target=target", "12a"),
        ("data=csv data.path=rare.csv data.target=target", "class z"),
        ("data=csv data.path=nowhere.csv data.target=target", "nowhere.csv"),
        ("data=csv data.path=good.csv", "data.target is required but has no value"),
        ("data=npz data.path=other_names.npz", "other_names.npz"),
        ("data=npz data.path=lengths.npz", "39"),
        ("data=npz data.path=nan.npz", "NaN"),
        ("data=npz data.path=negative.npz", "-1"),
        ("data=npz data.path=cut.npz", "can't be read"),
        (
            "data=npz data.path=good.npz data.batch_size=8 loss=poisson",
            "loss=poisson needs targets from 0",
        ),
        ("data=image_folder data.path=sizes", "5.png"),
        ("data=image_folder data.path=cut", "7.png"),
        ("data=image_folder data.path=lonely", "dog"),
        ("data=image_folder data.path=one_class", "one_class"),
        ("data=image_folder data.path=empty", "empty"),
        ("model.units=[0]", "model.units=[0]"),
        ("data.augment.flip=yes-please", "data.augment.flip"),
        ("data=iris data.batch_size=1000", "data.batch_size=1000"),
    ],
)
def test_unusable_data_is_reported(
    run_here: Command, folder: Path, arguments: str, message: str
) -> None:
    before = content(folder)
    done = run_here(*arguments.split(), folder=folder)
    assert done.code == 2
    assert done.error.startswith("error: ")
    assert done.error.count("\n") == 1
    assert message in done.error
    assert content(folder) == before
    assert not (folder / "outputs").exists()


def test_skipped_files_are_counted(run_here: Command, folder: Path, tmp_path: Path) -> None:
    given = ("data=image_folder", f"data.path={folder / 'cut'}", "data.on_error=skip")
    small = ("data.batch_size=8", "loop.steps=2", "recorder=[]", "model.units=[4]")
    done = run_here(*given, *small, folder=tmp_path)
    assert (done.code, done.error) == (0, "")
    assert "1 examples could not be read and are skipped" in done.out
