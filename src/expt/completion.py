"""`python -m expt.completion bash|zsh`: prints the script that completes commands in a shell."""

import argparse

from expt.cli import COMMANDS, program, run_command
from expt.runs.completion import answer, shell_completion


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    called = program("completion")
    parser = argparse.ArgumentParser(
        prog=called,
        description="Prints the script that completes commands, overrides and names of runs in a "
        f'shell. For your ~/.bashrc or ~/.zshrc: eval "$({called} bash)", or zsh',
    )
    parser.add_argument("shell", metavar="SHELL", help="bash or zsh")
    parser.add_argument("line", nargs="?", help=argparse.SUPPRESS)  # of `query`, for the scripts
    args = parser.parse_args(arguments)
    if args.shell == "query":
        return answer(args.line or "", COMMANDS)
    return shell_completion([f"install={args.shell}"], COMMANDS, called)


if __name__ == "__main__":
    main()
