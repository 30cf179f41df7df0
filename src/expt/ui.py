"""`python -m expt.ui`: starts TensorBoard, MLflow and Visdom for the records of all runs."""

import argparse
import tempfile
from pathlib import Path

from expt.cli import program, run_command
from expt.config.flags import parse, split_options
from expt.errors import UserError
from expt.servers.interface import PORTS, serve
from expt.servers.view import View


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("ui"),
        description="Starts TensorBoard and MLflow for the records of all runs, and Visdom with "
        "--visdom. Ctrl-C stops them.",
    )
    parser.add_argument(
        "options",
        nargs="*",
        metavar="RUN_OR_SWEEP | output_dir=DIR",
        help="directory or name of a run or sweep to show in TensorBoard, or `latest` or `best` "
        "(default: the newest sweep and the newest runs, up to 40 runs in all); output_dir is the "
        "folder of all runs (default: outputs), or a sweep",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    help_text = "also start Visdom, for runs with recorder=visdom; it listens on localhost only"
    parser.add_argument("--visdom", action="store_true", help=help_text)
    for name, usual in PORTS.items():
        help_text = f"port to listen on (default: {usual}, or a free port if that is in use)"
        parser.add_argument(f"--{name.lower()}-port", type=int, metavar="N", help=help_text)
    args = parse(parser, arguments, ["output_dir"])
    options, names = split_options(args.options, {"output_dir": "outputs"})
    output_dir = Path(options["output_dir"])
    ports = {name: getattr(args, f"{name.lower()}_port") for name in PORTS}
    # Visdom shows runs that train, so it is started before the first one.
    if not args.visdom and not any(output_dir.rglob("run.json")):
        raise UserError(
            f"output_dir={output_dir}: this folder contains no runs. Train one with "
            "python -m expt.run, or name another folder with output_dir=DIR."
        )
    # With more than 40 runs, TensorBoard's tabs open empty, so it reads links to a selection.
    with tempfile.TemporaryDirectory(prefix="expt-ui-") as folder:
        view = View(Path(folder), output_dir, names)
        serve(view, output_dir, args.host, ports, with_visdom=args.visdom)
    return 0


if __name__ == "__main__":
    main()
