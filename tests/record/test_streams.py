import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from expt.record.streams import StderrHandler

_SCRIPT = """
import sys
from pathlib import Path
from rich.console import Console
from rich.table import Table
from expt.record.exits import run_main

def work(arguments):
    for number in range(3000):  # more than the buffer of a pipe holds
        print("line", number)
        print("line", number, file=sys.stderr, flush=True)
    table = Table("mean ± 95 %", "file…")
    table.add_row("0.5 ± 0.1", "größe 价格 ★")
    Console(width=60).print(table)
    with open(arguments[0], "w", encoding="utf-8") as file:
        file.write("recorded ± 价格")
    return 3

run_main(work)
"""


def _recorded(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_work_continues_after_the_reader_of_its_output_has_ended(
    streams: tuple[str, ...], tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    others = dict.fromkeys({"stdout", "stderr"} - set(streams), subprocess.PIPE)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "file")],
        check=False,
        **{**others, **dict.fromkeys(streams, writer)},  # type: ignore[call-overload]
    )
    os.close(writer)
    assert done.returncode == 3
    assert _recorded(tmp_path / "file") == "recorded ± 价格"
    if "stderr" not in streams:
        assert b"Traceback" not in done.stderr
        assert b"Exception" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_files_do_not_get_the_descriptors_of_closed_streams(closed: str, tmp_path: Path) -> None:
    command = f'"$0" -c "$1" "$2" {closed}'
    arguments = [sys.executable, _SCRIPT, str(tmp_path / "file")]
    done = subprocess.run(["sh", "-c", command, *arguments], check=False, capture_output=True)
    assert done.returncode == 3
    assert _recorded(tmp_path / "file") == "recorded ± 价格"
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full exists only on Linux")
def test_output_to_a_full_disk_is_dropped(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(tmp_path / "file")],
            check=False,
            stdout=full,
            stderr=full,
        )
    assert done.returncode == 3
    assert _recorded(tmp_path / "file") == "recorded ± 价格"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", ("mean +- 95 %", "file...", "0.5 +- 0.1", "gro?e ?? *")),
        ("latin-1", ("mean ± 95 %", "file...", "0.5 ± 0.1", "größe ?? *")),
        ("utf-8", ("mean ± 95 %", "file…", "0.5 ± 0.1", "größe 价格 ★")),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(
    encoding: str, shown: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "file")],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 3
    output = done.stdout.decode(encoding)
    assert [text for text in shown if text not in output] == []
    assert output.startswith("line 0\nline 1\n")
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"line") == 3000


def test_log_records_go_to_the_current_stderr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A live display replaces stderr, and output that bypasses it would break the display."""
    handler = StderrHandler(io.StringIO())
    for _ in range(2):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        handler.handle(logging.makeLogRecord({"msg": "a warning"}))
        assert stream.getvalue() == "a warning\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--help"],
        ["run", "--shell-completion", "install=bash"],
        ["run", "-m", "act=relu,tanh", "--cfg", "job"],
        ["compare", "--help"],
    ],
)
def test_ended_reader_is_not_an_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    module, *others = arguments
    command = [sys.executable, "-m", f"expt.{module}", *others]
    done = subprocess.run(command, check=False, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
