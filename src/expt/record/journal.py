"""The journal: `metrics.jsonl`, with one JSON object per record.

It is the source of truth: TensorBoard and MLflow can be rebuilt from it.
"""

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
_BLOCK = 1 << 20  # bytes per read
_TAIL = 1 << 13  # bytes; nearly always enough for the last line
_LARGEST_STEP = 2**63 - 1  # of int64, which `Scalars.steps` holds
_LATEST_TIME = 1e12  # seconds since 1970; a later time is a sign of damage


class Journal:
    """A recorder that writes each record of scalars as a line, on the training thread.

    Values have the fewest digits that are read back as the same float32. Values that JSON has no
    number for are strings that `float` accepts: "nan", "inf", "-inf".
    """

    _path: Path
    _file: BinaryIO | None = None
    _failure: str | None = None

    def open(self, run: Run) -> None:
        """Opens the file for appending, and removes an incomplete last line of a killed process.

        Raises:
            RunError: The file can't be opened.
        """
        self._path, self._failure = run.directory / FILE_NAME, None
        try:
            # Unbuffered, so that each record is with the kernel even if this process is killed.
            self._file = self._path.open("ab", buffering=0)
            self._cut()
        except OSError as error:
            raise self._failed(error) from error

    def write(self, record: Record) -> None:
        """Writes scalars; once this returns, they survive a crash of the process.

        Raises:
            RunError: This record or a previous one can't be written. The file ends with the last
                complete line.
        """
        if not isinstance(record, Scalars):
            return
        if self._failure is not None:
            # A further line would hide that records are missing before it.
            raise RunError(self._failure)
        assert self._file is not None
        left = memoryview("".join(_lines(record)).encode())
        try:
            # An unbuffered write may be partial, on a nearly full disk for example.
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._failed(error) from error
        finally:
            if left:
                with contextlib.suppress(OSError, UserError):
                    self._cut()

    def close(self, status: Status) -> None:
        """Closes the file; once this returns, the journal survives a crash of the machine.

        Raises:
            RunError: The data can't be flushed to disk. Not raised if `write` has already failed.
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
            f"the journal {directory}/{FILE_NAME} can't be written: {error.strerror}. The records "
            "before this one are intact.\n"
            "Fix the cause; if the disk is full, free some disk space.\n"
            f"To continue: python -m expt.resume {directory}"
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
    # NumPy formats a float32 with the fewest digits; Python would format it as a float64.
    texts: list[str] = column.astype(str).tolist()
    if np.isfinite(column).all():
        return texts
    return [text if text[-1].isdigit() else json.dumps(text) for text in texts]


def complete_size(path: Path, end: int | None = None) -> int:
    """Returns the size in bytes of a journal's complete lines; 0 if there is no file.

    A last line without a newline, or one that can't be parsed, is incomplete: its process was
    killed while it wrote.

    Args:
        path: The journal.
        end: The number of bytes to consider; None considers the whole file.

    Raises:
        UserError: The file can't be read.
    """
    if not path.exists():
        return 0
    with _opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        size = size if end is None else min(end, size)
        # Two newlines enclose the last line; the rest of a file, which may be large, is not read.
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
    """Yields a journal's records, with values as floats; an incomplete last line is ignored.

    Args:
        path: The journal.
        start: The byte to start from; must be the start of a line.
        end: The number of bytes to consider; None considers the whole file.

    Raises:
        UserError: The file can't be read, or a line other than the last one is damaged; the
            records before that line are yielded first.
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
            # Parsing line by line is slower, and only needed to find the damaged line.
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
    """Parses many lines with one call of `json.loads`, which is faster than one call per line."""
    records = json.loads("[" + lines.decode().replace("\n", ",") + "]")
    if len(records) != count:  # a damaged line may hold several values, with commas between them
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
                f"the journal {path} is damaged in line {number}: {shown!r} is not a record, which "
                "is a JSON object with step, epoch, time and values. The lines before it can be "
                "read. Restore the file from a backup if there is one, else delete the line."
            ) from error
        yield record


def _parse(line: bytes) -> dict[str, Any]:
    return _checked(json.loads(line.decode()))


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    for key in ("step", "epoch"):
        # Not isinstance: `true` is an int to Python.
        if type(record[key]) is not int or not 0 <= record[key] <= _LARGEST_STEP:
            raise ValueError(key)
    if not 0 <= record["time"] <= _LATEST_TIME:
        raise ValueError("time")
    return {key: float(value) if "/" in key else value for key, value in record.items()}
