"""What every command shares: exit codes, and how errors reach the user."""

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from expt.config.paths import expanded
from expt.errors import RunError, Terminated, UserError
from expt.phases import end_phase
from expt.record.quoting import unquoted
from expt.record.secrets import install_log_redaction, redacted
from expt.streams import keep_streams_open
from expt.train.keras_settings import prepare_keras

_FULL_ERROR = "HYDRA_FULL_ERROR"  # asks for tracebacks
_FOLDER = "output_dir"


def run_command(function: Callable[[list[str]], int]) -> NoReturn:
    """Runs a command on the process's arguments and exits with its code.

    0 done, 1 the run failed or some job of a sweep did, 2 a bad config or bad input, 130 Ctrl-C,
    143 SIGTERM.
    """
    keep_streams_open()
    signal.signal(signal.SIGTERM, _on_sigterm)
    install_log_redaction()
    prepare_keras()
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
        tell(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Terminated:
        print("terminated", file=sys.stderr)
        sys.exit(143)


def program(command: str) -> str:
    """Returns how a command was called, for its help: `expt run` or `python -m expt.run`."""
    started = Path(sys.argv[0]).name
    if started == "__main__.py":
        return f"python -m expt {command}"
    return f"expt {command}" if started in ("expt", "expt.exe") else f"python -m expt.{command}"


def tell(error: Exception) -> None:
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


def take_options(
    arguments: Sequence[str], defaults: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Separates a command's own `KEY=VALUE` arguments from overrides of the config.

    Quotes around a value are taken off, as Hydra's grammar does; a folder's `~` is expanded.
    """
    options, overrides = dict(defaults), []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in options:
            options[key] = str(parse_output_dir(value)) if key == _FOLDER else unquoted(value)
        else:
            overrides.append(argument)
    return options, overrides


def parse_output_dir(value: str) -> Path:
    """Returns the folder that a command is given by `output_dir=`.

    Raises:
        UserError: It is empty, null, or below the home of a user that does not exist.
    """
    if value.strip().lower() == "null":
        raise UserError(f"{_FOLDER}={value}: expected the folder of all runs, such as outputs.")
    return expanded(unquoted(value), f"{_FOLDER}=")


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
