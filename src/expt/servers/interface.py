"""TensorBoard and MLflow over the records of all runs, until Ctrl-C."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expt.errors import RunError
from expt.record.mlflow.store import database, is_embedded, repair_store
from expt.servers.network import choose_port, in_address, is_local, public_host
from expt.servers.pages import Pages
from expt.servers.programs import make_mlflow, make_tensorboard
from expt.servers.server import ServerProgram, running
from expt.servers.store import folder_of_store
from expt.servers.view import View

TENSORBOARD_PORT, MLFLOW_PORT = 6006, 5000


def serve(
    view: View, output_dir: Path, host: str, tensorboard_port: int | None, mlflow_port: int | None
) -> None:
    """Starts TensorBoard and MLflow, prints the pages to open, and serves until interrupted.

    Args:
        view: The folder that TensorBoard shows.
        output_dir: The folder of all runs.
        host: Where to listen.
        tensorboard_port: None is the usual one, or a free one if that is taken.
        mlflow_port: Likewise.

    Raises:
        UserError: A port is taken.
        RunError: A server does not start.
    """
    port = _port("TensorBoard", host, tensorboard_port, TENSORBOARD_PORT)
    programs = [make_tensorboard(view.folder, host, port)]
    elsewhere, of_store = _elsewhere(), folder_of_store(output_dir)
    is_there = database(of_store).exists() or not is_embedded(of_store)
    if elsewhere is None and is_there:
        _repair(of_store)
        port = _port("MLflow", host, mlflow_port, MLFLOW_PORT)
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


def _address(program: ServerProgram) -> str:
    return f"http://{in_address(public_host(program.host))}:{program.port}"
