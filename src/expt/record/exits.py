"""How a process ends: errors on stderr, and the exit codes that they stand for."""

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from expt.errors import RunError, Terminated, UserError
from expt.record.phases import end_phase
from expt.record.streams import keep_streams_open
from expt.runs.secrets import install_log_redaction, redacted

_FULL_ERROR = "HYDRA_FULL_ERROR"  # asks for tracebacks


def run_main(function: Callable[[list[str]], int]) -> NoReturn:
    """Runs a function on the process's arguments and exits with its code.

    0 done, 1 the run failed or some job of a sweep did, 2 a bad config or bad input, 130 Ctrl-C,
    143 SIGTERM.
    """
    keep_streams_open()
    signal.signal(signal.SIGTERM, _on_sigterm)
    install_log_redaction()
    logging.raiseExceptions = False  # a log on a full disk must not print tracebacks
    # A script has its own folder there; users' packages are in the working directory.
    sys.path.append(os.getcwd())  # noqa: PTH109  as Python itself writes it
    try:
        try:
            code = function(sys.argv[1:])
        finally:
            end_phase()  # before anything is printed about an error
        sys.exit(code)
    except (UserError, RunError, OSError) as error:
        print_error(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Terminated:
        print("terminated", file=sys.stderr)
        sys.exit(143)


def print_error(error: Exception) -> None:
    """Prints an error to stderr: a sentence if it is one for users, else a traceback."""
    if isinstance(error, UserError | RunError | OSError) and os.environ.get(_FULL_ERROR) != "1":
        text = f"error: {error}\n"
    else:
        text = "".join(traceback.format_exception(error))
    sys.stderr.write(redacted(text))


def exit_code(error: Exception) -> int:
    """Returns the exit code that an error stands for."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return 2  # no file can be called what the user typed
    return 2 if isinstance(error, UserError) else 1


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
