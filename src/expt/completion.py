"""`python -m expt.completion bash|zsh`: prints the completion script for a shell."""

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
        f'shell. To enable it, add eval "$({called} bash)" to ~/.bashrc, or '
        f'eval "$({called} zsh)" to ~/.zshrc.',
    )
    parser.add_argument("shell", metavar="SHELL", help="bash or zsh")
    # The scripts themselves call `completion query LINE`; users have no need to.
    parser.add_argument("line", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.shell == "query":
        return answer(args.line or "", COMMANDS)
    return shell_completion([f"install={args.shell}"], COMMANDS, called)


if __name__ == "__main__":
    main()
