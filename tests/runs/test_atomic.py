"""Tests that files are replaced atomically."""

import os
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs import atomic
from expt.runs.atomic import read_json, replacing, write_json, write_text


def test_json_is_read_back_and_ends_with_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"path": tmp_path, "n": 1})
    assert (tmp_path / "a.json").read_text().endswith("}\n")
    assert read_json(tmp_path / "a.json") == {"path": str(tmp_path), "n": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_invalid_json_is_user_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json can't be read: "):
        read_json(tmp_path / "a.json")


def test_missing_file_is_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.json can't be read: .*No such file"):
        read_json(tmp_path / "b.json")


def test_file_is_synchronized_before_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, seen = tmp_path / "a.txt", list[tuple[str, str | None]]()
    file.write_text("old")

    def note(path: Path) -> None:
        seen.append((path.name, file.read_text()))

    monkeypatch.setattr(atomic, "synchronize", note)
    write_text(file, "new")
    assert seen == [("partial-a.txt", "old"), (tmp_path.name, "new")]


def test_write_error_leaves_only_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


def test_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    file.write_text("old")

    def write_half() -> None:
        with replacing(file) as partial:
            assert (partial.parent, partial.suffix) == (tmp_path, ".npz")
            partial.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.npz", "old")]
