"""Errors on stderr, and the exit codes that they stand for."""

import errno
import os
import sys
import traceback

from expt.errors import RunError, UserError
from expt.runs.secrets import redacted

_FULL_ERROR = "HYDRA_FULL_ERROR"  # asks for tracebacks


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
