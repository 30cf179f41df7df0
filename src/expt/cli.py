"""The table of commands, and the entry point of `expt COMMAND …`."""

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
    "compare": "compare runs: their settings and their results",
    "diff": "show the differences between two runs",
    "ui": "start TensorBoard and MLflow for all runs",
    "evaluate": "evaluate the model of a finished run on any data",
    "predict": "write a finished run's predictions for a file",
    "export": "export the model of a finished run to another format",
    "verify": "check that a config repeats and resumes bit for bit",
    "gradients": "draw activations, losses and optimizers with their derivatives",
    "sync": "bring MLflow up to date from the journals",
    "completion": "print the completion script for bash or zsh",
}
"""The summary of each command by its name, which is also the name of its module."""


def run_command(function: Callable[[list[str]], int]) -> NoReturn:
    """Runs a command with the arguments of the process, and exits with the code it returns.

    Args:
        function: Takes the arguments and returns the exit code.
    """
    # Keras reads its settings once, when it is imported, and users' modules may import it.
    prepare_keras()
    run_main(function)


def program(command: str) -> str:
    """Returns the call of a command for help texts: `expt run` or `python -m expt.run`."""
    started = Path(sys.argv[0]).name
    if started == "__main__.py":
        return f"python -m expt {command}"
    return f"expt {command}" if started in ("expt", "expt.exe") else f"python -m expt.{command}"


def main() -> None:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        run_command(_run_without_command)
    del sys.argv[1]  # the command reads its arguments as under python -m expt.COMMAND
    show_start(command, sys.argv[1:])  # before the imports, which take up to a second
    import_module(f"expt.{command}").main()


def _run_without_command(arguments: list[str]) -> int:
    """Prints the version or the help, or raises an error for an unknown command."""
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
            f"For a description of each, run {program} --help."
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
            f"Run {program} COMMAND --help for the help of a command,",
            f"or {program} --version for the version.",
        ]
    )


def _program() -> str:
    return "python -m expt" if Path(sys.argv[0]).name == "__main__.py" else "expt"
