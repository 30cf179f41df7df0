"""`python -m expt.ui`: starts TensorBoard and MLflow over the records of all runs."""

import argparse
import tempfile
from pathlib import Path

from expt.cli import program, run_command
from expt.config.flags import parse, take_options
from expt.errors import UserError
from expt.servers.interface import MLFLOW_PORT, TENSORBOARD_PORT, serve
from expt.servers.view import View


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("ui"),
        description="Starts TensorBoard and MLflow over the records of all runs; Ctrl-C stops "
        "both.",
    )
    parser.add_argument(
        "options",
        nargs="*",
        metavar="RUN_OR_SWEEP | output_dir=DIR",
        help="what TensorBoard shows, by directory or name, or latest, best (the newest sweep and "
        "what else fits into its 40 lines); the folder of all runs (outputs), or a sweep",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    for name, usual in (("tensorboard", TENSORBOARD_PORT), ("mlflow", MLFLOW_PORT)):
        help_text = f"its port ({usual}, or a free one if that is taken)"
        parser.add_argument(f"--{name}-port", type=int, metavar="N", help=help_text)
    args = parse(parser, arguments, ["output_dir"])
    options, names = take_options(args.options, {"output_dir": "outputs"})
    output_dir = Path(options["output_dir"])
    if not any(output_dir.rglob("run.json")):
        raise UserError(
            f"output_dir={output_dir}: there are no runs. Train one with python -m expt.run, or "
            "say where they are: output_dir=DIR."
        )
    with tempfile.TemporaryDirectory(prefix="expt-ui-") as folder:
        view = View(Path(folder), output_dir, names)
        serve(view, output_dir, args.host, args.tensorboard_port, args.mlflow_port)
    return 0


if __name__ == "__main__":
    main()
