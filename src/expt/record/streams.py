"""Standard streams whose writes never fail, so that training does not depend on the terminal."""

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
    """Replaces stdout and stderr by streams whose writes never fail.

    Output is dropped if the reader of a pipe has ended (as in `| head -1`), if the terminal is
    gone, or if the disk is full. Characters that the encoding lacks are replaced by similar ASCII
    ones. Streams that were closed when the process started become the null device.
    """
    # The system assigns the lowest free descriptor. If stderr were left closed, the next file to
    # be opened, such as a checkpoint, would get its number, and warnings would be written into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    codecs.register_error(_ERRORS, _as_plain)
    sys.stdout = _kept_open(sys.stdout, 1)
    sys.stderr = _kept_open(sys.stderr, 2)


class StderrHandler(logging.StreamHandler[TextIO]):
    """A log handler that writes to the current `sys.stderr`.

    While a live display runs on a terminal, it replaces `sys.stderr`, and prints above itself what
    is written there.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Creates a handler; `stream` is ignored, but a config of logging may pass it."""
        del stream
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        self.stream = sys.stderr
        super().emit(record)


class _Descriptor(io.FileIO):
    """A file descriptor that drops what can't be written."""

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        # Reports success, since the layers above would raise or retry otherwise.
        try:
            return super().write(content) or size  # None if a non-blocking write would block
        except OSError:
            return size


def _kept_open(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(_buffered(descriptor), encoding="utf-8", errors=_ERRORS)
    if not isinstance(stream, io.TextIOWrapper) or stream is not getattr(
        sys, "__stdout__" if descriptor == 1 else "__stderr__"
    ):
        return stream  # replaced by a test or a notebook that captures the output
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
    """Replaces characters that an encoding lacks by similar ASCII ones, else by `?`."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(letter for letter in decomposed if letter.isascii()) or "?"
