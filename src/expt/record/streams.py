"""Standard output and error that nothing can stop: training never depends on the terminal."""

import codecs
import io
import logging
import os
import sys
import unicodedata
from typing import Any, TextIO

_PLAIN = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "—": "-",
    "→": "->",
    "★": "*",
    "█": "#",
    "·": ".",
    "≠": "!=",
}
_ERRORS = "expt_plain"


def keep_streams_open() -> None:
    """Makes the process's standard output and error ones whose writes always succeed.

    What can't be written is dropped: the pipe's reader has ended, as that of `| head -1` does, the
    terminal is gone, or the disk is full. Characters that the encoding lacks are replaced by plain
    ones. Streams that were closed before the process began become the null device, or the first
    file to be opened would take their place.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    codecs.register_error(_ERRORS, _as_plain)
    sys.stdout = _kept_open(sys.stdout, 1)
    sys.stderr = _kept_open(sys.stderr, 2)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes log records to the standard error of the moment.

    A live display takes its place on a terminal, and shows above itself what is written there.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Makes a handler; a config of logging names a stream, which is not kept."""
        del stream
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        self.stream = sys.stderr
        super().emit(record)


class _Descriptor(io.FileIO):
    """A file descriptor; what can't be written to it is dropped."""

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        try:
            return super().write(content) or size  # None where it would have to wait
        except OSError:
            return size


def _kept_open(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(_buffered(descriptor), encoding="utf-8", errors=_ERRORS)
    if not isinstance(stream, io.TextIOWrapper) or stream is not getattr(
        sys, "__stdout__" if descriptor == 1 else "__stderr__"
    ):
        return stream  # somebody captures it
    stream.flush()
    return io.TextIOWrapper(
        _buffered(descriptor),
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _buffered(descriptor: int) -> io.BufferedWriter:
    return io.BufferedWriter(_Descriptor(descriptor, "wb", closefd=False))


def _as_plain(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that an encoding lacks by what resembles them, at last by `?`."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(letter for letter in decomposed if letter.isascii()) or "?"
