from pathlib import Path

import pytest

from expt.derivatives.folder import ResultFolder
from expt.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_files_of_an_earlier_call_are_replaced(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "a" / "b")
    folder.check()
    assert folder.write({"x.png": b"1", "index.html": b"2"}) == tmp_path / "a/b/index.html"
    folder.check()
    folder.write({"y.png": b"3", "index.html": b"4"})
    assert names(tmp_path / "a/b") == ["files.txt", "index.html", "y.png"]
    assert (tmp_path / "a/b/index.html").read_bytes() == b"4"


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    folder.write({"index.html": b""})
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"contains thesis.txt, which this command has not written"):
        folder.check()


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="this is a file"):
        ResultFolder(tmp_path / "x").check()


def test_edited_list_leads_nowhere_else(tmp_path: Path) -> None:
    inner, outside = tmp_path / "inner", tmp_path / "outside"
    outside.touch()
    folder = ResultFolder(inner)
    folder.write({"a": b""})
    (inner / "files.txt").write_text("../outside\na\n")
    folder.write({"b": b""})
    assert outside.exists()
    assert names(inner) == ["b", "files.txt"]


def test_interrupted_call_can_be_repeated(tmp_path: Path) -> None:
    """A killed process leaves a partial file."""
    folder = ResultFolder(tmp_path)
    folder.write({"a": b"", "index.html": b""})
    (tmp_path / "partial-a").touch()
    folder.check()
