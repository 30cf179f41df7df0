"""Hydra's own flags: which of them expt.run takes, and which go together."""

from argparse import Namespace
from collections.abc import Sequence

from expt.errors import UserError


def check_flags(args: Namespace) -> None:
    """Checks a command line of expt.run.

    Raises:
        UserError: A flag skips the checks or unpickles a file, or two exclude each other.
    """
    for flag in ("config_path", "config_name", "experimental_rerun"):
        if getattr(args, flag) is not None:
            raise UserError(
                f"--{flag.replace('_', '-')}: expected no such flag. --config-dir adds options of "
                "your own; --rerun RUN trains a recorded config anew."
            )
    for group in (("run", "multirun"), ("run", "cfg", "info")):
        names = [name for name in group if getattr(args, name)]
        if len(names) > 1:
            raise UserError(f"--{' and --'.join(names)}: expected one of them.")
    if args.shell_completion:
        _check_completion(args.overrides)
    if args.package is not None and not args.cfg:
        raise UserError("--package: expected --cfg with it, as in --cfg job --package loop.")
    if args.resolve and not (args.cfg or args.help):
        raise UserError("--resolve: expected --cfg or --help with it, as in --cfg job --resolve.")


def _check_completion(overrides: Sequence[str]) -> None:
    commands, shells = ("install", "uninstall", "query"), ("bash", "zsh", "fish")
    words = [override.partition("=") for override in overrides]
    if len(words) != 1 or words[0][0] not in commands or words[0][2] not in shells:
        given = " ".join(["--shell-completion", *overrides])
        raise UserError(
            f"{given}: expected {', '.join(commands)} with one of {', '.join(shells)}, such as "
            "--shell-completion install=bash."
        )
