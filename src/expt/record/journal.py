"""The journal: metrics.jsonl, one JSON object a record, the truth from which all else follows."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError, UserError
from expt.record.recorder import Record, Scalars
from expt.runs.run import Run, Status

FILE_NAME = "metrics.jsonl"
_BLOCK = 1 << 20  # bytes read at once
_TAIL = 1 << 13  # bytes that hold the last line, most of the time
_LARGEST_STEP = 2**63 - 1
_LATEST_TIME = 1e12  # seconds since 1970; what is later is no time but damage


class Journal:
    """Writes each record as a line, in order, on the training thread.

    Values are written with the fewest digits that read back to the same float32. What JSON has no
    number for stands as a string that `float` reads: "nan", "inf", "-inf".
    """

    _path: Path
    _file: BinaryIO | None = None
    _failure: str | None = None

    def open(self, run: Run) -> None:
        """Opens the file for appending; the torn line that a killed process left is cut off.

        Raises:
            RunError: The file can't be opened.
        """
        self._path, self._failure = run.directory / FILE_NAME, None
        try:
            self._file = self._path.open("ab", buffering=0)
            self._cut()
        except OSError as error:
            raise self._failed(error) from error

    def write(self, record: Record) -> None:
        """Writes scalars; after it returns they survive the end of this process.

        Raises:
            RunError: The file can't be written to, now or at an earlier record. It ends with the
                last line that went in whole.
        """
        if not isinstance(record, Scalars):
            return
        if self._failure is not None:
            # One more line would stand after a gap.
            raise RunError(self._failure)
        assert self._file is not None
        left = memoryview("".join(_lines(record)).encode())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._failed(error) from error
        finally:
            if left:
                with contextlib.suppress(OSError, UserError):
                    self._cut()

    def close(self, status: Status) -> None:
        """Closes the file; after it returns the journal survives the end of the machine.

        Raises:
            RunError: The machine can't keep what was written, and nothing was told of it before.
        """
        del status
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with file:
                os.fsync(file.fileno())
        except OSError as error:
            if self._failure is None:
                raise self._failed(error) from error

    def _cut(self) -> None:
        assert self._file is not None
        size = complete_size(self._path)
        if size < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(size)

    def _failed(self, error: OSError) -> RunError:
        directory = os.path.relpath(self._path.parent)
        self._failure = (
            f"the journal {directory}/{FILE_NAME} can't be written: {error.strerror}. What was "
            "recorded up to now stays readable. Once that is mended (a full disk: after making "
            f"space), `python -m expt.resume {directory}` goes on."
        )
        return RunError(self._failure)


def _lines(scalars: Scalars) -> Iterator[str]:
    columns = [_texts(column) for column in scalars.values.values()]
    names = [f", {json.dumps(name)}: " for name in scalars.values]
    rows = zip(scalars.steps, scalars.epochs, scalars.times, *columns, strict=True)
    for step, epoch, moment, *values in rows:
        numbers = "".join(map(str.__add__, names, values))
        yield f'{{"step": {step}, "epoch": {epoch}, "time": {moment:.6f}{numbers}}}\n'


def _texts(column: NDArray[np.float32]) -> list[str]:
    texts: list[str] = column.astype(str).tolist()
    if np.isfinite(column).all():
        return texts
    return [text if text[-1].isdigit() else json.dumps(text) for text in texts]


def complete_size(path: Path, end: int | None = None) -> int:
    """Returns how many bytes of a journal are whole lines; 0 if there is no file.

    A last line without its end, or one that can't be read, is torn: a killed process left it.

    Args:
        path: The journal.
        end: What is beyond this byte is left out; None is the file's end.

    Raises:
        UserError: The file can't be read.
    """
    if not path.exists():
        return 0
    with _opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        size = size if end is None else min(end, size)
        tail, start = b"", size
        while start and tail.count(b"\n") < 2:
            length = min(max(_TAIL, len(tail)), start)
            start -= length
            file.seek(start)
            tail = file.read(length) + tail
    whole = tail.rfind(b"\n") + 1
    if whole == len(tail):
        line_start = tail.rfind(b"\n", 0, max(whole - 1, 0)) + 1
        try:
            _parse(tail[line_start:whole])
        except _DAMAGE:
            whole = line_start
    return start + whole


def read_journal(path: Path, start: int = 0, end: int | None = None) -> Iterator[dict[str, Any]]:
    """Yields the journal's records, values as floats; a torn last line is left out.

    Args:
        path: The journal.
        start: The byte to start from, where a line starts.
        end: What is beyond this byte is left out; None is the file's end.

    Raises:
        UserError: The file can't be read, or a line that is not the last is damaged; what is
            before that line has been yielded.
    """
    with _opened(path) as file:
        remaining = complete_size(path, end) - file.seek(start)
        num_lines, rest = 0, b""
        while remaining > 0 and (block := file.read(min(_BLOCK, remaining))):
            remaining -= len(block)
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if not newline:
                continue
            lines = whole.split(b"\n")
            try:
                records = _parse_all(whole, len(lines))
            except _DAMAGE:
                yield from _parse_each(path, start, num_lines, lines)
            else:
                yield from records
            num_lines += len(lines)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"the journal {path} can't be read: {error.strerror}.") from error


_DAMAGE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


def _parse_all(lines: bytes, count: int) -> list[dict[str, Any]]:
    """Parses many lines at once, which is faster than one by one."""
    records = json.loads("[" + lines.decode().replace("\n", ",") + "]")
    if len(records) != count:
        raise ValueError(len(records))
    return [_checked(record) for record in records]


def _parse_each(
    path: Path, start: int, num_lines: int, lines: list[bytes]
) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, num_lines + 1):
        try:
            record = _parse(line)
        except _DAMAGE as error:
            with path.open("rb") as file:
                number += file.read(start).count(b"\n")
            shown = line[:60].decode(errors="replace")
            raise UserError(
                f"the journal {path} is damaged in line {number}: {shown!r} is no record, which "
                "is a JSON object with step, epoch, time and values. The lines before it can be "
                "read; put a copy of the file in its place if there is one, or delete the line."
            ) from error
        yield record


def _parse(line: bytes) -> dict[str, Any]:
    return _checked(json.loads(line.decode()))


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    for key in ("step", "epoch"):
        if type(record[key]) is not int or not 0 <= record[key] <= _LARGEST_STEP:
            raise ValueError(key)
    if not 0 <= record["time"] <= _LATEST_TIME:
        raise ValueError("time")
    return {key: float(value) if "/" in key else value for key, value in record.items()}
