import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_helpers import make_run

from expt.errors import RunError, UserError
from expt.record import journal as journal_module
from expt.record.journal import FILE_NAME, Journal, complete_size, read_journal
from expt.record.recorder import Scalars
from expt.runs.run import Status


def _written(tmp_path: Path, *records: Scalars) -> Path:
    journal = Journal()
    journal.open(make_run(tmp_path))
    for record in records:
        journal.write(record)
    journal.close(Status.FINISHED)
    return tmp_path / FILE_NAME


def test_float32_values_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    steps = np.arange(1, len(values) + 1)
    path = _written(
        tmp_path, Scalars(steps, steps, steps.astype(np.float64), {"train/loss": values})
    )
    read = np.array([line["train/loss"] for line in read_journal(path)], np.float32)
    np.testing.assert_array_equal(read.view(np.uint32), values.view(np.uint32))


def test_line_has_the_documented_fields(tmp_path: Path) -> None:
    path = _written(tmp_path, Scalars.single(120, 5, {"train/loss": 0.31, "val/accuracy": 1.0}))
    record = json.loads(path.read_text())
    assert list(record) == ["step", "epoch", "time", "train/loss", "val/accuracy"]
    assert (record["step"], record["epoch"]) == (120, 5)
    assert '"train/loss": 0.31,' in path.read_text()


def test_values_unknown_to_json_are_strings(tmp_path: Path) -> None:
    column = np.array([1.5, np.nan, np.inf, -np.inf], np.float32)
    steps = np.arange(4)
    path = _written(
        tmp_path, Scalars(steps, steps, steps.astype(np.float64), {"train/loss": column})
    )

    def refuse(text: str) -> float:
        raise AssertionError(text)

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    read = [line["train/loss"] for line in read_journal(path)]
    np.testing.assert_array_equal(read, column)


def test_what_is_written_is_on_file_before_the_close(tmp_path: Path) -> None:
    journal = Journal()
    journal.open(make_run(tmp_path))
    journal.write(Scalars.single(1, 1, {"train/loss": 1.0}))
    assert len(list(read_journal(tmp_path / FILE_NAME))) == 1
    journal.close(Status.KILLED)


LINES = [
    b'{"step": 1, "epoch": 1, "time": 1795400000.123456, "train/loss": 0.31, "train/x": 1e-05}\n',
    b'{"step": 2, "epoch": 1, "time": 1795400000.223456, "train/loss": 0.3, "train/x": "nan"}\n',
    b'{"step": 2, "epoch": 1, "time": 1795400000.5, "val/loss": "-inf", "perf/x": 3.0}\n',
    b'{"step": 3, "epoch": 2, "time": 1795400001.0, "train/loss": 2.0, "train/\xce\xb1": 9.0}\n',
]
WHOLE = b"".join(LINES)
# The folder is shared by all examples, each of which writes the file again.
on_one_file = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _read(path: Path, start: int = 0, end: int | None = None) -> tuple[list[str], str]:
    """Returns the records as text, since NaN is not equal to itself, and the error."""
    records: list[str] = []
    try:
        for record in read_journal(path, start, end):
            records.append(repr(record))  # noqa: PERF401  to keep those before an error
    except UserError as error:
        return records, str(error)
    return records, ""


def _file(folder: Path, content: bytes) -> Path:
    path = folder / FILE_NAME
    path.write_bytes(content)
    return path


@on_one_file
@given(cut=st.integers(0, len(WHOLE)))
def test_incomplete_last_line_is_ignored(tmp_path: Path, cut: int) -> None:
    expected, _ = _read(_file(tmp_path, WHOLE))
    assert len(expected) == len(LINES)
    path = _file(tmp_path, WHOLE[:cut])
    whole = WHOLE[:cut].count(b"\n")
    assert _read(path) == (expected[:whole], "")
    assert complete_size(path) == len(b"".join(LINES[:whole]))
    assert _read(_file(tmp_path, WHOLE), end=cut) == (expected[:whole], "")


@on_one_file
@given(position=st.integers(0, len(WHOLE) - 1), change=st.integers(1, 255))
def test_error_for_a_changed_byte_names_its_line(
    tmp_path: Path, position: int, change: int
) -> None:
    expected, _ = _read(_file(tmp_path, WHOLE))
    changed = bytearray(WHOLE)
    changed[position] ^= change
    line = WHOLE[:position].count(b"\n")
    found, error = _read(_file(tmp_path, bytes(changed)))
    assert found[:line] == expected[:line]
    # The change is an error, or gives another valid record, or makes the rest one incomplete line.
    if error:
        assert len(found) == line
        assert f"{FILE_NAME} is damaged in line {line + 1}: " in error
    elif len(found) > line:
        assert found[line + 1 :] == expected[line + 1 :]
    else:
        assert changed[len(b"".join(LINES[:line])) :].count(b"\n") <= 1


@on_one_file
@given(
    content=st.binary()
    | st.text().map(str.encode)
    | st.lists(
        st.sampled_from([*LINES, b"\n", b"[1]\n", b"1\n", b"{}\n", b'"\\ud800"\n', b"[" * 9_999])
    ).map(b"".join)
)
def test_any_content_raises_only_user_errors(tmp_path: Path, content: bytes) -> None:
    path = _file(tmp_path, content)
    _, error = _read(path)
    assert not error or "is damaged in line" in error
    assert 0 <= complete_size(path) <= len(content)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{}",
        "[]",
        '{"step": 1, "epoch": 1, "train/loss": 1.0}',
        '{"step": 1.0, "epoch": 1, "time": 1.0}',
        '{"step": -1, "epoch": 1, "time": 1.0}',
        '{"step": 9223372036854775808, "epoch": 1, "time": 1.0}',
        '{"step": 1, "epoch": 1, "time": 1e999}',
        '{"step": 1, "epoch": 1, "time": NaN}',
        '{"step": 1, "epoch": 1, "time": 1.0, "train/loss": null}',
        '{"step": 1, "epoch": 1, "time": 1.0, "train/loss": "much"}',
        '{"step": 1, "epoch": 1, "time": 1.0}, {"step": 1, "epoch": 1, "time": 1.0}',
        "[" * 100_000,
    ],
)
def test_invalid_record_is_ignored_at_the_end_and_an_error_elsewhere(
    damage: str, tmp_path: Path
) -> None:
    expected, _ = _read(_file(tmp_path, LINES[0]))
    path = _file(tmp_path, LINES[0] + damage.encode() + b"\n")
    assert _read(path) == (expected, "")
    assert complete_size(path) == len(LINES[0])
    path = _file(tmp_path, LINES[0] + damage.encode() + b"\n" + LINES[1])
    found, error = _read(path)
    assert found == expected
    assert "is damaged in line 2: " in error
    assert _read(path, start=len(LINES[0]))[1] == error


@pytest.mark.parametrize("block", [1, 7, 100])
def test_block_size_does_not_change_the_records(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, WHOLE * 3 + b"torn")
    expected = _read(path)
    monkeypatch.setattr(journal_module, "_BLOCK", block)
    monkeypatch.setattr(journal_module, "_TAIL", block)
    assert _read(path) == expected
    assert len(expected[0]) == 12
    assert complete_size(path) == 3 * len(WHOLE)


def test_reading_starts_and_ends_at_a_byte(tmp_path: Path) -> None:
    path = _file(tmp_path, WHOLE)
    expected, _ = _read(path)
    start, end = len(LINES[0]), len(LINES[0] + LINES[1])
    assert _read(path, start) == (expected[1:], "")
    assert _read(path, start, end) == (expected[1:2], "")
    assert _read(path, len(WHOLE)) == _read(path, 10**9) == ([], "")


def test_missing_file(tmp_path: Path) -> None:
    assert complete_size(tmp_path / FILE_NAME) == 0
    with pytest.raises(UserError, match=r"metrics\.jsonl can't be read: No such file"):
        list(read_journal(tmp_path / FILE_NAME))


@pytest.mark.parametrize("torn", [b"", b'{"step": 5, "ep', b'{"step": 5, "ep\n', b"\0\0\0"])
def test_incomplete_line_is_removed_before_appending(torn: bytes, tmp_path: Path) -> None:
    _file(tmp_path, WHOLE + torn)
    path = _written(tmp_path, Scalars.single(7, 2, {"train/loss": 1.0}))
    assert path.read_bytes().startswith(WHOLE)
    found, error = _read(path)
    assert len(found) == len(LINES) + 1
    assert not error


def test_full_device_raises_at_every_write(tmp_path: Path) -> None:
    # Every write to this device fails like one to a full disk.
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    journal, record = Journal(), Scalars.single(1, 1, {"train/loss": 1.0})
    journal.open(make_run(tmp_path))
    for _ in range(2):
        with pytest.raises(RunError) as raised:
            journal.write(record)
        assert "metrics.jsonl can't be written: No space left on device" in str(raised.value)
        assert f"python -m expt.resume {os.path.relpath(tmp_path)}" in str(raised.value)
    journal.close(Status.FAILED)


def test_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    journal = Journal()
    with pytest.raises(RunError, match="Is a directory"):
        journal.open(make_run(tmp_path))
    journal.close(Status.FAILED)


def test_failed_flush_raises_at_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal()
    journal.open(make_run(tmp_path))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="Input/output error"):
        journal.close(Status.FINISHED)
    journal.close(Status.FINISHED)


def test_partial_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    journal.open(make_run(tmp_path))
    file = journal._file
    assert file is not None

    class PartialWriter:
        def write(self, data: memoryview) -> int:
            assert file is not None
            return file.write(data[:5])

    monkeypatch.setattr(journal, "_file", PartialWriter())
    journal.write(Scalars.single(1, 1, {"train/loss": 1.0, "train/x": 2.0}))
    monkeypatch.undo()
    journal.close(Status.FINISHED)
    assert [line["train/x"] for line in read_journal(tmp_path / FILE_NAME)] == [2.0]


FILL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from record_helpers import make_run
from expt.errors import RunError
from expt.record.journal import Journal
from expt.record.recorder import Scalars
from expt.runs.run import Status

run = make_run(Path(sys.argv[1]))
if size := int(sys.argv[2]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
journal = Journal()
journal.open(run)
for start in range(1, 10_000, 100):
    steps = np.arange(start, start + 100)
    try:
        journal.write(Scalars(steps, steps, steps / 7, {"train/loss": steps.astype(np.float32)}))
    except RunError as error:
        print(error)
        journal.close(Status.FAILED)
        sys.exit()
"""


@pytest.fixture(params=["limit", "disk"])
def small_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder on a small disk; or, where none can be mounted, any folder and a limit of bytes."""
    folder, is_mounted = tmp_path / "small", False
    folder.mkdir()
    if request.param == "disk" and os.geteuid() == 0:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder, 0 if is_mounted else 50_000
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk_leaves_complete_lines_and_the_journal_continues_afterwards(
    small_place: tuple[Path, int],
) -> None:
    folder, limit = small_place
    path = folder / FILE_NAME
    filler = folder / "filler"
    filler.write_bytes(b"x" * 12_000)
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(folder), str(limit)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(Path(__file__).parent)])},
        capture_output=True,
        text=True,
        check=True,
    )
    reason = "File too large" if limit else "No space left on device"
    assert f"metrics.jsonl can't be written: {reason}. The records before" in done.stdout
    steps = [record["step"] for record in read_journal(path)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 500
    assert complete_size(path) == path.stat().st_size
    # With some space again, the journal can be continued.
    filler.unlink()
    _written(folder, Scalars.single(len(steps) + 1, 1, {"train/loss": 1.0}))
    assert [record["step"] for record in read_journal(path)] == [*steps, len(steps) + 1]
