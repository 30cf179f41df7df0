"""`python -m expt.export RUN FORMAT [--to PATH]`: exports the model of a finished run."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("export", sys.argv[1:])

import argparse

from expt.analysis.run_argument import add_run_argument, resolve_finished_run
from expt.cli import program, run_command
from expt.config.flags import parse, take_output_dir
from expt.exports.export import FORMATS, check_format, choose_path, export, size_text
from expt.exports.inputs import describe_inputs
from expt.prediction.outputs import describe_outputs
from expt.train.saved_model import recorded_outputs


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Exports the best model of a finished run to another format, and checks that "
        "the exported model returns the same outputs.",
    )
    add_run_argument(parser)
    parser.add_argument("format", metavar="FORMAT", help=" | ".join(FORMATS))
    parser.add_argument(
        "options", nargs="*", metavar="KEY=VALUE", help="output_dir=… (default: outputs)"
    )
    parser.add_argument(
        "--to", metavar="PATH", help="output path (default: exports/ in the run's directory)"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite a previous export at the path of --to"
    )
    args = parse(parser, arguments, ["output_dir"])
    output_dir = take_output_dir(args.options)
    check_format(args.format)
    phases = command_phases()
    phases.begin("reading the run")
    run = resolve_finished_run(args, output_dir)
    path = choose_path(run, args.format, args.to, force=args.force)
    job, agreement = export(run, args.format, path, phases)
    print(f"{args.format} written to {path} ({size_text(path)})")
    print(f"inputs: {describe_inputs(run.record.data)}")
    print(f"outputs: {describe_outputs(run.record.data, recorded_outputs(run, job))}")
    print(agreement)
    return 0


if __name__ == "__main__":
    main()
