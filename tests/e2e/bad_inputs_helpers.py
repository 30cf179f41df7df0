"""Runs commands in this process on damaged files, and compares the files before and after."""

import contextlib
import hashlib
import importlib
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra

from expt.record.exits import run_main

CHANGING = (".lock", "run.log")
"""The files of a run that every command may write."""


@dataclass(frozen=True)
class Answer:
    """The outcome of a command.

    Attributes:
        code: The exit code; None if the command raised an exception that its user would see as a
            traceback.
        out: The text on stdout.
        error: The text on stderr.
    """

    code: int | None
    out: str
    error: str

    @property
    def is_an_answer(self) -> bool:
        """Whether the command ended in a documented way, with a message instead of a traceback."""
        printed = self.out + self.error
        return self.code in (0, 1, 2) and "Traceback" not in printed and bool(printed.strip())


def answer(command: str, *arguments: str, folder: Path) -> Answer:
    """Runs a command in a folder, in this process, whose state is restored afterwards."""
    module = importlib.import_module(f"expt.{command}")
    # The same encodings as in a process: text that can't be encoded is an error on stdout.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True)
    error = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    with (
        _process_kept(),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        sys.argv = [f"expt.{command}", *arguments]
        code: int | None = 0
        try:
            run_main(module._run)
        except SystemExit as ended:
            code = _code(ended)
        except Exception:  # noqa: BLE001  a user would see its traceback
            code = None
            traceback.print_exc()
    return Answer(code, *(stream.buffer.getvalue().decode() for stream in (out, error)))


def content(folder: Path, but: Callable[[Path], bool] = lambda _: False) -> dict[str, str]:
    """Returns a hash of each file in a folder, except for those that every command may write."""
    return {
        str(path): _hash(path)
        for path in sorted(folder.rglob("*"))
        if path.name not in CHANGING and not but(path)
    }


Place = tuple[str | int, ...]
"""The place of a value in nested mappings and lists: the keys and indices that lead to it."""

MISSING = object()
"""Given instead of a value, it deletes the key."""


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Yields the place of every value that is nested in a value."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else []
    for key, item in enumerate(value) if isinstance(value, list) else inner:
        yield from places(item, (*at, key))


def put(value: Any, place: Place, new: Any) -> None:
    """Replaces the value at a place."""
    for key in place[:-1]:
        value = value[key]
    if new is MISSING:
        del value[place[-1]]
    else:
        value[place[-1]] = new


def _hash(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"


def _code(ended: SystemExit) -> int | None:
    return ended.code if isinstance(ended.code, int | None) else 1


@contextlib.contextmanager
def _process_kept() -> Iterator[None]:
    arguments, paths, raises = sys.argv, list(sys.path), logging.raiseExceptions
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level = list(root.handlers), root.level
    on_signal: Any = signal.getsignal(signal.SIGTERM)
    environment = dict(os.environ)
    # Hidden from `logging`, which would close the present handlers when the command configures its
    # own, and with them the streams of pytest.
    all_handlers: list[Any] = vars(logging)["_handlerList"]
    kept = all_handlers.copy()
    all_handlers.clear()
    root.handlers = []
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers, all_handlers[:] = handlers, kept
        root.setLevel(level)
        logging.setLogRecordFactory(factory)
        signal.signal(signal.SIGTERM, on_signal)
        sys.argv, sys.path[:], logging.raiseExceptions = arguments, paths, raises
        os.environ.clear()
        os.environ.update(environment)
        GlobalHydra.instance().clear()
