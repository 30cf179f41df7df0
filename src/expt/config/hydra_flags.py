"""Parsing of the command line of `expt.run`: some of Hydra's flags, `--rerun` and `--metric`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from expt.config.flags import parse
from expt.config.overrides import normalize
from expt.config.paths import expand_path
from expt.errors import UserError

REFUSED_FLAGS = ("config_path", "config_name", "experimental_rerun")
"""Flags of Hydra that would skip the checks or unpickle a file."""


def parse_run_arguments(program: str, arguments: Sequence[str]) -> Namespace:
    """Parses the flags and overrides of a command line.

    Args:
        program: The call of the command, such as `expt run`, for usage messages.
        arguments: The command line as typed.

    Raises:
        UserError: A flag is not supported, or can't be combined with another one.
    """
    args = parse(make_run_parser(program), arguments)
    check_flags(args)
    if not asks_for_help(args):
        _check_rerun(args)
    if args.config_dir is not None:
        args.config_dir = str(expand_path(args.config_dir, "--config-dir "))
    args.overrides = normalize(args.overrides, args.multirun)
    return args


def make_run_parser(program: str) -> ArgumentParser:
    """Returns the parser of expt.run: Hydra's, with a few more flags."""
    parser = get_args_parser()
    parser.prog = program
    parser.add_argument("--rerun", metavar="RUN")  # the help is in conf/config.yaml
    parser.add_argument("--metric")
    return parser


def asks_for_help(args: Namespace) -> bool:
    """Whether a command line asks for a text that Hydra itself prints."""
    return bool(args.help or args.hydra_help or args.info or args.shell_completion)


def check_flags(args: Namespace) -> None:
    """Checks the flags of `expt.run`.

    Raises:
        UserError: A flag is not supported, or can't be combined with another one.
    """
    # Another config would skip the schema and the checks, and Hydra's rerun unpickles a file, which
    # can run any code.
    for flag in REFUSED_FLAGS:
        if getattr(args, flag) is not None:
            raise UserError(
                f"--{flag.replace('_', '-')} is not supported. Use --config-dir to add your own "
                "options, or --rerun RUN to train the config of a recorded run again."
            )
    for group in (("run", "multirun"), ("run", "cfg", "info")):
        names = [name for name in group if getattr(args, name)]
        if len(names) > 1:
            raise UserError(f"--{' and --'.join(names)}: expected only one of these flags.")
    if args.shell_completion:
        _check_completion(args.overrides)
    if args.package is not None and not args.cfg:
        raise UserError("--package requires --cfg, as in --cfg job --package loop.")
    if args.resolve and not (args.cfg or args.help):
        raise UserError("--resolve requires --cfg or --help, as in --cfg job --resolve.")


def _check_rerun(args: Namespace) -> None:
    if args.metric is not None and args.rerun is None:
        raise UserError(f"--metric {args.metric} requires --rerun best.")
    if args.rerun is not None and (args.multirun or args.cfg):
        raise UserError("--rerun can't be combined with -m or --cfg; expected only overrides.")


def _check_completion(overrides: Sequence[str]) -> None:
    commands, shells = ("install", "uninstall", "query"), ("bash", "zsh", "fish")
    words = [override.partition("=") for override in overrides]
    if len(words) != 1 or words[0][0] not in commands or words[0][2] not in shells:
        given = " ".join(["--shell-completion", *overrides])
        raise UserError(
            f"{given}: expected {', '.join(commands)} with one of {', '.join(shells)}, such as "
            "--shell-completion install=bash."
        )
