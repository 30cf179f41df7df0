"""The table of commands, and `expt COMMAND …`, which runs each of them under one name."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from expt import __version__
from expt.errors import UserError, nearest
from expt.record.exits import run_main
from expt.record.phases import show_start
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


def run_command(function: Callable[[list[str]], int]) -> NoReturn:
    """Runs a command on the process's arguments and exits with its code; see `run_main`."""
    prepare_keras()
    run_main(function)


def program(command: str) -> str:
    """Returns how a command was called, for its help: `expt run` or `python -m expt.run`."""
    started = Path(sys.argv[0]).name
    if started == "__main__.py":
        return f"python -m expt {command}"
    return f"expt {command}" if started in ("expt", "expt.exe") else f"python -m expt.{command}"


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
