"""`python -m expt.run [-m] [overrides]`: trains one run, or with -m a sweep."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("run", sys.argv[1:])

from pathlib import Path

from expt.analysis.run_argument import resolve_run
from expt.cli import COMMANDS, program, run_command
from expt.config.compose import Composition
from expt.config.display import show
from expt.config.flags import split_options
from expt.config.hydra_flags import asks_for_help, parse_run_arguments
from expt.config.hydra_help import show_help
from expt.runs.completion import shell_completion
from expt.sweep.launchers.fork_context import start_server
from expt.train.start import start_rerun, start_run


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    args = parse_run_arguments(program("run"), arguments)
    if args.shell_completion and not args.overrides[0].endswith("=fish"):
        return shell_completion(args.overrides, COMMANDS, program("run"))
    if asks_for_help(args):
        return show_help(args)
    phases = command_phases()
    if args.rerun is not None:
        options, _ = split_options(args.overrides, {"output_dir": "outputs"})
        found = resolve_run(args.rerun, Path(options["output_dir"]), args.metric)
        return start_rerun(found, args.overrides, args.config_dir, phases)
    if not args.cfg:
        phases.begin("composing the config")  # not with --cfg, which prints nothing but YAML
        if args.multirun:
            start_server()  # imports TensorFlow meanwhile
    composition = Composition(args.overrides, args.config_dir, args.multirun)
    if args.cfg:
        print(*show(composition, args.cfg, args.package, resolve=args.resolve), sep="\n")
        return 0
    if not composition.is_sweep:
        return start_run(composition, phases)
    from expt.sweep.submission import start_sweep  # slow, and needed for sweeps only

    return start_sweep(composition, phases)


if __name__ == "__main__":
    main()
