"""`python -m expt.ui`: starts TensorBoard and MLflow over the records of all runs."""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expt.command import program, run_command, take_options
from expt.errors import RunError, UserError
from expt.flags import parse
from expt.record.mlflow_store import database, is_embedded, repair_store
from expt.servers.network import choose_port, in_address, is_local, public_host
from expt.servers.pages import Pages
from expt.servers.programs import make_mlflow, make_tensorboard
from expt.servers.server import Program, running

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
        "options", nargs="*", metavar="output_dir=DIR", help="the folder of all runs (outputs)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    for name, usual in (("tensorboard", _TENSORBOARD_PORT), ("mlflow", _MLFLOW_PORT)):
        help_text = f"its port ({usual}, or a free one if that is taken)"
        parser.add_argument(f"--{name}-port", type=int, metavar="N", help=help_text)
    args = parse(parser, arguments, ["output_dir"])
    options, others = take_options(args.options, {"output_dir": "outputs"})
    if others:
        raise UserError(f"{others[0]}: expected output_dir=DIR, and flags; --help has them.")
    output_dir = Path(options["output_dir"])
    if not any(output_dir.rglob("run.json")):
        raise UserError(
            f"output_dir={output_dir}: there are no runs. Train one with python -m expt.run, or "
            "say where they are: output_dir=DIR."
        )
    _serve(output_dir, args.host, args.tensorboard_port, args.mlflow_port)
    return 0


def _serve(
    output_dir: Path, host: str, tensorboard_port: int | None, mlflow_port: int | None
) -> None:
    """Serves until it is interrupted."""
    port = _port("TensorBoard", host, tensorboard_port, _TENSORBOARD_PORT)
    programs = [make_tensorboard(output_dir, host, port)]
    elsewhere = _elsewhere()
    is_there = database(output_dir).exists() or not is_embedded(output_dir)
    if elsewhere is None and is_there:
        _repair(output_dir)
        port = _port("MLflow", host, mlflow_port, _MLFLOW_PORT)
        programs.append(make_mlflow(output_dir, host, port))
    if not is_local(host):
        print(
            f"warning: --host {host}: whoever reaches this machine can read all runs, and in "
            "MLflow change and delete them.",
            file=sys.stderr,
        )
    print("starting …", flush=True)
    with running(programs) as servers:
        addresses = [_address(program) for program in programs]
        pages = Pages(output_dir, addresses[0], elsewhere or next(iter(addresses[1:]), None))
        for name, text in pages.lines():
            print(f"{name:<13} {text}")
        print("Ctrl-C stops", " and ".join(program.name for program in programs), flush=True)
        servers.wait()


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
