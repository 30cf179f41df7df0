"""`python -m expt.ui`: starts TensorBoard and MLflow over the records of all runs."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expt.cli import program, run_command, take_options
from expt.config.flags import parse
from expt.errors import RunError, UserError
from expt.record.mlflow.store import database, is_embedded, repair_store
from expt.servers.network import choose_port, in_address, is_local, public_host
from expt.servers.pages import Pages
from expt.servers.programs import make_mlflow, make_tensorboard
from expt.servers.server import Program, running
from expt.servers.store import folder_of_store
from expt.servers.view import View

_TENSORBOARD_PORT, _MLFLOW_PORT = 6006, 5000


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
    for name, usual in (("tensorboard", _TENSORBOARD_PORT), ("mlflow", _MLFLOW_PORT)):
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
        _serve(view, output_dir, args.host, args.tensorboard_port, args.mlflow_port)
    return 0


def _serve(
    view: View, output_dir: Path, host: str, tensorboard_port: int | None, mlflow_port: int | None
) -> None:
    """Serves until it is interrupted."""
    port = _port("TensorBoard", host, tensorboard_port, _TENSORBOARD_PORT)
    programs = [make_tensorboard(view.folder, host, port)]
    elsewhere, of_store = _elsewhere(), folder_of_store(output_dir)
    is_there = database(of_store).exists() or not is_embedded(of_store)
    if elsewhere is None and is_there:
        _repair(of_store)
        port = _port("MLflow", host, mlflow_port, _MLFLOW_PORT)
        programs.append(make_mlflow(of_store, host, port))
    if not is_local(host):
        print(
            f"warning: --host {host}: whoever reaches this machine can read all runs, and in "
            "MLflow change and delete them.",
            file=sys.stderr,
        )
    print("starting …", flush=True)
    with running(programs) as servers:
        addresses = [_address(program) for program in programs]
        mlflow = elsewhere or next(iter(addresses[1:]), None)
        pages = Pages(output_dir, addresses[0], mlflow, view)
        for name, text in pages.lines():
            print(f"{name:<13} {text}")
        print("Ctrl-C stops", " and ".join(program.name for program in programs), flush=True)
        servers.wait(view.refresh)


def _repair(output_dir: Path) -> None:
    """Lets a store that was moved or copied show the artifacts beside it."""
    try:
        for place in repair_store(output_dir):
            print(f"the MLflow store kept its artifacts in {place}; now it does beside itself")
    except (OSError, RunError) as error:  # it can be read all the same
        print(f"warning: MLflow may not find artifacts: {error}", file=sys.stderr)


def _port(name: str, host: str, wanted: int | None, usual: int) -> int:
    port = choose_port(host, wanted, usual)
    if wanted is None and port != usual:
        print(f"port {usual} is taken; {name} listens on {port}")
    return port


def _elsewhere() -> str | None:
    """The address of the server that the runs were sent to, if any, without a password."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not address.startswith(("http://", "https://")):
        return None
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _address(program: Program) -> str:
    return f"http://{in_address(public_host(program.host))}:{program.port}"


if __name__ == "__main__":
    main()
