"""What every command shares, and `expt COMMAND …`, which has all of them under one name.

Exit codes, how errors reach the user, and the arguments that many commands take.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from expt import __version__
from expt.config.paths import expanded
from expt.config.quoting import unquoted
from expt.errors import RunError, Terminated, UserError, nearest
from expt.record.error_report import exit_code, print_error
from expt.record.phases import end_phase, show_start
from expt.record.streams import keep_streams_open
from expt.runs.secrets import install_log_redaction
from expt.train.keras_settings import prepare_keras

COMMANDS: Mapping[str, str] = {
    "run": "train one run, or with -m a sweep",
    "resume": "finish an interrupted run or sweep, or extend a finished run",
    "list": "list runs and sweeps, newest first",
    "compare": "compare runs: what varied, and what came out",
    "diff": "show what differs between two runs",
    "ui": "start TensorBoard and MLflow over all runs",
    "evaluate": "evaluate a finished run on any data",
    "predict": "write a finished run's predictions for a file",
    "export": "write a finished run's model in another format",
    "verify": "prove that a config repeats and resumes bit for bit",
    "sync": "complete MLflow from the journals",
    "completion": "print the script that completes commands in bash or zsh",
}
"""The commands, each of which is a module of its name, with a line on what it does."""

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
        print_error(error)
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


def main() -> None:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        run_command(_answer)
    del sys.argv[1]
    show_start(command, sys.argv[1:])  # before the imports, which take up to a second
    import_module(f"expt.{command}").main()


def _answer(arguments: list[str]) -> int:
    """Answers where no command is named."""
    program = _program()
    given = arguments[0] if arguments else "--help"
    if given == "--version":
        print(f"expt {__version__}")
    elif given in ("-h", "--help", "help"):
        print(_help(program))
    else:
        near = nearest(given, COMMANDS)
        question = f"Did you mean {near!r}? " if near else ""
        raise UserError(
            f"{given}: there is no such command. {question}Valid: {', '.join(COMMANDS)}. "
            f"{program} --help explains them."
        )
    return 0


def _help(program: str) -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            f"{program} COMMAND --help explains a command.",
            f"{program} --version prints the version.",
        ]
    )


def _program() -> str:
    return "python -m expt" if Path(sys.argv[0]).name == "__main__.py" else "expt"
