"""Tests of the identity of folders of runs, moved and copied ones too, and of their numbers."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from expt.runs import folder_identity as module
from expt.runs.chronology import PLACE_FILE
from expt.runs.folder_identity import assign_number, current_identity, read_identity


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


def number(folder: Path) -> int:
    claimed = assign_number(folder, folder / "runs" / "day" / "run")
    assert claimed is not None
    return int(claimed["number"])


def write_record(folder: Path, place: Any, name: str = "run.json") -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps({"status": "FINISHED", "started": 1.0, "place": place}))


def test_numbers_increase(outputs: Path) -> None:
    first = assign_number(outputs, outputs / "runs/day/a")
    assert first == {"id": read_identity(outputs).id, "directory": "runs/day/a", "number": 1}  # type: ignore[union-attr]
    assert [number(outputs) for _ in range(3)] == [2, 3, 4]
    outside = assign_number(outputs, outputs.parent / "else")
    assert outside is not None
    assert (outside["directory"], outside["number"]) == ("../else", 5)


def test_missing_folder_is_not_created_for_run_outside(tmp_path: Path) -> None:
    assert assign_number(tmp_path / "outputs", tmp_path / "run") is None
    assert list(tmp_path.iterdir()) == []


def test_processes_get_different_numbers(outputs: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from expt.runs.folder_identity import assign_number\n"
        "outputs = Path(sys.argv[1])\n"
        "for _ in range(20): print(assign_number(outputs, outputs / 'a')['number'])"
    )

    def run(_: int) -> list[int]:
        command = [sys.executable, "-c", code, str(outputs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [int(line) for line in done.stdout.split()]

    with ThreadPoolExecutor(3) as pool:
        found = [list(column) for column in pool.map(run, range(3))]
    assert all(column == sorted(column) for column in found)
    assert sorted(number for column in found for number in column) == list(range(1, 61))


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b'{"id": "a"}', b'{"id": 1, "path": "", "number": "x"}']
)
def test_lost_or_damaged_file_is_recovered_from_records(
    content: bytes | None, outputs: Path
) -> None:
    write_record(outputs / "runs/day/a", {"id": "old", "directory": "runs/day/a", "number": 41})
    write_record(outputs / "mine", {"id": "old", "directory": "mine", "number": 7}, "sweep.json")
    write_record(outputs / "runs/day/before", None)
    write_record(outputs / "runs/day/odd", {"number": "x"})
    (outputs / "runs/day/torn").mkdir()
    (outputs / "runs/day/torn/run.json").write_text("{")
    if content is not None:
        (outputs / PLACE_FILE).write_bytes(content)
    assert number(outputs) == 42
    place = read_identity(outputs)
    assert place is not None
    assert "old" in place.ids


def test_crash_leaves_gap_but_no_duplicate_number(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert number(outputs) == 1

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            number(outputs)
    assert number(outputs) == 2
    (outputs / f"partial{PLACE_FILE}").write_text("{")
    assert number(outputs) == 3


def test_read_only_folder_still_assigns_numbers(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(outputs / "runs/day/a", {"id": "old", "directory": "runs/day/a", "number": 41})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "_write", refuse)
    assert number(outputs) == 42
    assert current_identity(outputs).number == 41
    assert not (outputs / PLACE_FILE).exists()


def test_full_disk_is_error(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", fill)
    with pytest.raises(OSError, match="No space"):
        number(outputs)


def test_moved_folder_keeps_its_id(outputs: Path) -> None:
    number(outputs)
    before = read_identity(outputs)
    assert before is not None
    moved = outputs.rename(outputs.with_name("moved"))
    after = current_identity(moved)
    assert (after.id, after.path, after.number) == (before.id, str(moved), 1)
    assert number(moved) == 2
    assert current_identity(moved) == current_identity(moved)


def test_copied_folder_gets_new_id_and_keeps_original_ids(outputs: Path) -> None:
    number(outputs)
    original = current_identity(outputs)
    copy = Path(shutil.copytree(outputs, outputs.with_name("copy")))
    place = current_identity(copy)
    assert place.id != original.id
    assert place.ids == {place.id, original.id}
    assert current_identity(copy) == place
    assert current_identity(outputs) == original
    assert (number(outputs), number(copy), number(copy)) == (2, 2, 3)


def test_link_has_same_identity(outputs: Path) -> None:
    number(outputs)
    link = outputs.with_name("link")
    link.symlink_to(outputs)
    assert current_identity(link) == current_identity(outputs)
    assert number(link) == 2
