import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from expt.errors import RunError
from expt.train import checkpoint as module
from expt.train.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    DamagedError,
    checkpoint_files,
    newest_checkpoint,
    read_checkpoint,
    step_of,
    write_checkpoint,
)


def make_checkpoint(step: int, best_step: int | None = None) -> Checkpoint:
    arrays: dict[str, NDArray[Any]] = {
        "network 0/0000 dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) * step,
        "optimizer 0/0000 adam/iteration": np.array(step, np.int64),
        "random/0000 seed": np.array([1, step], np.uint32),
    }
    # NaN is not valid JSON, but Python's json module writes and reads it.
    facts = {"progress": {"values": {"train/loss": float("nan")}, "reason": None}}
    return Checkpoint(step, best_step, arrays, facts)


def prepare_nothing() -> None:
    """The `prepare` of a checkpoint without files to flush."""


def steps_in(folder: Path) -> list[int]:
    return [step_of(file) for file in checkpoint_files(folder)]


def test_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    given = make_checkpoint(7, best_step=3)
    file = write_checkpoint(tmp_path / "checkpoints", given, prepare_nothing)
    read = read_checkpoint(file)
    assert (read.step, read.best_step) == (7, 3)
    assert str(read.facts["progress"]) == str(given.facts["progress"])
    assert read.arrays.keys() == given.arrays.keys()
    for name, array in given.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array, strict=True)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    return write_checkpoint(folder, make_checkpoint(7), prepare_nothing)


@given(st.data())
def test_changed_or_truncated_file_is_detected(written: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans(), label="cut"):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    damaged = written.parent / "damaged" / written.name
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(content)
    with pytest.raises(DamagedError):
        read_checkpoint(damaged)


def test_reading_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "done"),)

    # An object array is pickled; the checksum in the file name matches.
    hostile = np.empty(1, object)
    hostile[0] = Hostile()
    partial = tmp_path / "file.npz"
    arrays: dict[str, Any] = {"hostile": hostile, "facts.json": np.zeros(1, np.uint8)}
    np.savez(partial, **arrays)
    import hashlib

    digest = hashlib.sha256(partial.read_bytes()).hexdigest()[:16]
    file = partial.rename(tmp_path / f"step_0000001_{digest}.npz")
    with pytest.raises(DamagedError, match="allow_pickle"):
        read_checkpoint(file)
    assert not (tmp_path / "done").exists()


def test_newest_intact_checkpoint_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [write_checkpoint(tmp_path, make_checkpoint(s), prepare_nothing) for s in (1, 2, 30)]
    # Files that are no checkpoints are ignored.
    (tmp_path / "partial-checkpoint.npz").write_bytes(b"half")
    (tmp_path / "step_of_something.npz").write_bytes(b"else")
    newest = newest_checkpoint(tmp_path, last_step=30)
    assert newest is not None
    assert newest.step == 30
    files[2].write_bytes(files[2].read_bytes()[:-1])
    newest = newest_checkpoint(tmp_path, last_step=30)
    assert newest is not None
    assert newest.step == 2
    assert f"{files[2]} is damaged" in caplog.text
    newest = newest_checkpoint(tmp_path, last_step=1)
    assert newest is not None
    assert newest.step == 1
    assert f"{files[1]} is newer than the journal" in caplog.text
    assert newest_checkpoint(tmp_path / "nowhere", last_step=1) is None


def test_newest_and_best_checkpoints_are_kept(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path / "checkpoints", keep=2, prepare=prepare_nothing)
    for step in range(1, 7):
        writer.write(make_checkpoint(step, best_step=2 if step > 1 else 1))
        writer.flush()
    writer.close()
    assert steps_in(tmp_path / "checkpoints") == [6, 5, 2]


@pytest.mark.parametrize(("best_step", "kept"), [(None, [4, 1]), (2, [4, 2, 1]), (4, [4, 1])])
def test_newest_and_best_of_the_waiting_checkpoints_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best_step: int | None, kept: list[int]
) -> None:
    began, may_continue = threading.Event(), threading.Event()
    write = write_checkpoint

    def slow_write(folder: Path, checkpoint: Checkpoint, prepare: Callable[[], None]) -> Path:
        began.set()
        assert may_continue.wait(30)
        return write(folder, checkpoint, prepare)

    monkeypatch.setattr(module, "write_checkpoint", slow_write)
    writer = CheckpointWriter(tmp_path, keep=9, prepare=prepare_nothing)
    writer.write(make_checkpoint(1))
    assert began.wait(30)
    for step in (2, 3, 4):
        writer.write(make_checkpoint(step, best_step))
    may_continue.set()
    # Closing does not wait for the second between writes to pass.
    writer.close()
    assert steps_in(tmp_path) == kept


def test_checkpoint_is_due_when_it_would_be_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", 3600.0)
    writer = CheckpointWriter(tmp_path, keep=1, prepare=prepare_nothing)
    assert writer.is_due()
    writer.write(make_checkpoint(1))
    assert not writer.is_due()
    writer.flush()
    assert not writer.is_due()
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", 0.0)
    writer.write(make_checkpoint(2))
    writer.flush()
    assert writer.is_due()
    writer.close()


def test_failed_write_is_raised_and_keeps_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = CheckpointWriter(tmp_path, keep=1, prepare=prepare_nothing)
    writer.write(make_checkpoint(1))
    writer.flush()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    writer.write(make_checkpoint(2))
    with pytest.raises(RunError, match="No space left on device"):
        writer.flush()
    # Due, so that the next write raises the failure on the training thread.
    assert writer.is_due()
    with pytest.raises(RunError, match=r"intact\.\nFree some disk space\.\nTo continue: python"):
        writer.write(make_checkpoint(3))
    writer.close()
    assert [file.name for file in tmp_path.iterdir()] == [
        f.name for f in checkpoint_files(tmp_path)
    ]
    assert steps_in(tmp_path) == [1]


def test_checkpoint_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = list[tuple[str, bool]]()
    fsync = os.fsync

    def note(name: str) -> None:
        events.append((name, any(checkpoint_files(tmp_path / "checkpoints"))))

    def note_fsync(descriptor: int) -> None:
        note(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_fsync)
    write_checkpoint(tmp_path / "checkpoints", make_checkpoint(1), lambda: note("prepared"))
    assert events == [
        ("partial-checkpoint.npz", False),
        ("prepared", False),
        ("checkpoints", True),
    ]


def test_checkpoint_files_are_ordered_by_step(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path, make_checkpoint(1), prepare_nothing)
    for step in (10_000_000, 999, 20):
        shutil.copy(file, file.with_name(file.name.replace("0000001", f"{step:07d}")))
    assert steps_in(tmp_path) == [10_000_000, 999, 20, 1]


def test_step_that_is_saved_again_has_one_file(tmp_path: Path) -> None:
    # The second time by another process, with other contents and hence another name.
    for best_step in (1, 2):
        writer = CheckpointWriter(tmp_path, keep=2, prepare=prepare_nothing)
        writer.write(make_checkpoint(5, best_step))
        writer.close()
    newest = newest_checkpoint(tmp_path, last_step=5)
    assert newest is not None
    assert newest.best_step == 2
    assert steps_in(tmp_path) == [5]
