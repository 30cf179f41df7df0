import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from expt.launch import print_git_trouble, print_notes


def test_notes_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    print_notes(Console(file=stream, width=20), ["a [bold]column[/bold] of 300 values", "1:2"])
    assert stream.getvalue() == "data: a [bold]column[/bold] of 300 values\ndata: 1:2\n"


def test_a_repository_that_git_refuses_to_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.chdir(tmp_path)
    print_git_trouble(Console(file=stream))
    assert stream.getvalue() == ""
    subprocess.run(["git", "init", "--quiet"], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    print_git_trouble(Console(file=stream))
    assert f"git config --global --add safe.directory {tmp_path}\n" in stream.getvalue()
