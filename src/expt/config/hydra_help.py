"""Texts that `expt.run` prints in place of training: its help, and Hydra's information."""

from argparse import Namespace

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra

from expt.config.compose import Composition
from expt.config.groups import groups
from expt.config.help import help_text
from expt.config.hydra_setup import composing

_CONFIG = "config"


def show_help(args: Namespace) -> int:
    """Prints `--help`, or Hydra's `--hydra-help`, `--info` and completion for fish.

    For a sweep, the text is about its first job.

    Returns:
        The exit code.

    Raises:
        UserError: An override is invalid.
    """
    if not args.shell_completion:
        # `--help act` asks for the options of a group; anywhere else it is not an override.
        asked = [one for one in args.overrides if args.help and one in groups()]
        args.overrides = [one for one in args.overrides if one not in asked]
        composition = Composition(args.overrides, args.config_dir, args.multirun)
        if args.help:
            print(help_text(composition, args, asked))
            return 0
        args.overrides = list(composition.first_job().job.overrides)
    with composing(args.config_dir):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        if args.hydra_help:
            hydra.hydra_help(_CONFIG, get_args_parser(), args)
        elif args.info:
            hydra.show_info(args.info, _CONFIG, args.overrides)
        else:
            hydra.shell_completion(_CONFIG, args.overrides)
    return 0
