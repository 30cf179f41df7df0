"""The end of a command: errors on stderr, and exit codes."""

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

_FULL_ERROR = "HYDRA_FULL_ERROR"  # the variable by which Hydra's users ask for tracebacks


def run_main(function: Callable[[list[str]], int]) -> NoReturn:
    """Runs a function on the process's arguments and exits with the code that it returns.

    The exit codes are 0 for success, 1 if the run or some job of a sweep failed, 2 for a bad
    config or bad input, 130 after Ctrl-C and 143 after SIGTERM.
    """
    keep_streams_open()
    signal.signal(signal.SIGTERM, _on_sigterm)
    install_log_redaction()
    logging.raiseExceptions = False  # on a full disk, each log line would print a traceback
    # The console script has its own folder as sys.path[0], unlike `python -m`, which has the
    # working directory, where users keep their packages.
    sys.path.append(os.getcwd())  # noqa: PTH109  as Python itself writes it
    try:
        try:
            code = function(sys.argv[1:])
        finally:
            end_phase()  # a spinner would overwrite the error message
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
    """Prints an error to stderr: its message if it is meant for users, else its traceback."""
    if isinstance(error, UserError | RunError | OSError) and os.environ.get(_FULL_ERROR) != "1":
        text = f"error: {error}\n"
    else:
        text = "".join(traceback.format_exception(error))
    sys.stderr.write(redacted(text))


def exit_code(error: Exception) -> int:
    """Returns the exit code for an error: 2 if the user's input is at fault, else 1."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return 2  # the user typed a name that is too long for a file
    return 2 if isinstance(error, UserError) else 1


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
