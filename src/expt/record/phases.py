"""The phases of a command, such as loading data: shown while they last, logged when they end.

Importing this module takes milliseconds, so that a command can show its first phase before its
own imports, which take up to a second.
"""

import atexit
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

from expt.record.streams import keep_streams_open

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_log = logging.getLogger(__name__)
_lap = [time.monotonic()]
# If the output is not a terminal, a phase has a line only if it lasts so long.
_SECONDS_UNTIL_SHOWN = 1.0
_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_UNTIL_TIMED = 2.0  # a line shows the elapsed time only beyond this
_QUIET = (
    *("-h", "--help", "--hydra-help", "-c", "--cfg", "-i", "--info"),
    *("-sc", "--shell-completion"),
)
"""Flags that ask for a text, often to be piped, so that nothing else may be printed."""

_FIRST = {
    "run": "composing the config",
    **dict.fromkeys(("resume", "evaluate", "predict", "export"), "reading the run"),
}
"""The first phase of each command that shows one."""


class Phases:
    """A display of the current phase of a command.

    On a terminal, a phase is a line with a spinner that vanishes at its end. Elsewhere it is a
    plain line, printed once the phase has lasted for a second, and again with the elapsed time
    every few seconds, so that users of a log can see that the command is alive.

    Args:
        console: The console to print to.
        is_logged: Whether logging is set up. If not, phases are kept and logged by `start_log`.
    """

    def __init__(self, console: "Console", *, is_logged: bool = True) -> None:
        self.console = console
        self._is_logged = is_logged
        self._ended: list[tuple[str, float]] = []  # not logged yet
        self._text, self._began = "", 0.0
        self._live: Live | None = None
        self._over: threading.Event | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def __call__(self, text: str, *, at_once: bool = False) -> Iterator[None]:
        """Shows a phase while a `with` block runs; the arguments are those of `begin`."""
        self.begin(text, at_once=at_once)
        try:
            yield
        finally:
            self.end()

    def begin(self, text: str, *, at_once: bool = False) -> None:
        """Ends the current phase, if there is one, and begins another.

        Args:
            text: The activity, such as `loading data`. If it is that of the current phase, that
                phase continues.
            at_once: Whether to print the line without delay, for a phase known to take seconds.
        """
        if text == self._text:
            return
        self.end()
        self._text, self._began = text, time.monotonic()
        if self.console.is_interactive:
            self._show_spinner()
            return
        if at_once:
            self._print_line()
        # A thread prints the lines, since the main thread may be inside a long import or call.
        self._over = threading.Event()
        seconds = _SECONDS_BETWEEN_LINES if at_once else _SECONDS_UNTIL_SHOWN
        arguments = (self._over, seconds)
        self._thread = threading.Thread(target=self._print_lines, args=arguments, daemon=True)
        self._thread.start()

    def update(self, text: str) -> None:
        """Changes the text of the current phase, for example to show its progress."""
        self._text = text

    def end(self) -> None:
        """Ends the current phase, if there is one."""
        if not self._text:
            return
        if self._live is not None:
            self._live.stop()
        if self._over is not None and self._thread is not None:
            self._over.set()
            self._thread.join()
        self._ended.append((self._text, time.monotonic() - self._began))
        self._text, self._live, self._over, self._thread = "", None, None, None
        if self._is_logged:
            self.start_log()

    def start_log(self) -> None:
        """Logs the phases that have ended, and every later one at its end."""
        self._is_logged = True
        for text, seconds in self._ended:
            _log.info("%s: %.2f s", text, seconds)
        self._ended.clear()

    def _show_spinner(self) -> None:
        # Imported here, to keep the import of this module fast where there is no terminal.
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("dots", style="cyan")

        # A spinner that keeps its place in the animation: a new one per frame would not turn.
        def rendered() -> Spinner:
            spinner.update(text=Text(self._line()))
            return spinner

        self._live = Live(
            console=self.console,
            get_renderable=rendered,
            transient=True,
            refresh_per_second=10,
            redirect_stderr=sys.stderr.isatty(),  # a redirected stderr must stay in its file
        )
        self._live.start(refresh=True)

    def _print_lines(self, over: threading.Event, seconds: float) -> None:
        while not over.wait(seconds):
            self._print_line()
            seconds = _SECONDS_BETWEEN_LINES

    def _print_line(self) -> None:
        self.console.print(self._line(), highlight=False, markup=False, soft_wrap=True)

    def _line(self) -> str:
        seconds = time.monotonic() - self._began
        return f"{self._text} …" + (f" {seconds:.0f} s" if seconds > _SECONDS_UNTIL_TIMED else "")


@cache
def command_phases() -> Phases:
    """Returns the display of this process's command."""
    from rich.console import Console

    return Phases(Console(), is_logged=False)


def end_phase() -> None:
    """Ends the current phase of this process's command, if there is one."""
    if command_phases.cache_info().currsize:  # do not import Rich only to end nothing
        command_phases().end()


def show_start(command: str, arguments: Sequence[str]) -> None:
    """Shows the first phase of a command; called before the command's imports.

    Args:
        command: The name of the command, such as `run`. Commands without a first phase are
            ignored.
        arguments: The command line. If it only asks for help or the config, nothing is shown.
    """
    is_quiet = any(argument.partition("=")[0] in _QUIET for argument in arguments)
    if command not in _FIRST or is_quiet:
        return
    keep_streams_open()
    atexit.register(end_phase)  # makes the cursor visible again if the imports fail
    sys.excepthook = _show_error
    command_phases().begin(_FIRST[command], at_once=True)


def _show_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Prints an exception that is raised during the imports; Ctrl-C as `exits.run_main` does."""
    end_phase()
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def lap_seconds() -> float:
    """Returns the seconds since the last call, or since this module was imported."""
    began, _lap[0] = _lap[0], time.monotonic()
    return _lap[0] - began
