"""The web interface: TensorBoard and MLflow for all runs, until Ctrl-C."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expt.errors import RunError
from expt.record.mlflow.store import database, is_embedded, repair_store
from expt.servers.network import choose_port, is_local, public_host, url_host
from expt.servers.pages import Pages
from expt.servers.programs import make_mlflow, make_tensorboard
from expt.servers.server import ServerProgram, running
from expt.servers.store import store_folder
from expt.servers.view import View

TENSORBOARD_PORT, MLFLOW_PORT = 6006, 5000


def serve(
    view: View, output_dir: Path, host: str, tensorboard_port: int | None, mlflow_port: int | None
) -> None:
    """Starts TensorBoard and MLflow, prints the addresses of pages, and serves until interrupted.

    Args:
        view: The folder that TensorBoard shows.
        output_dir: The folder of all runs.
        host: The host to listen on.
        tensorboard_port: The port of TensorBoard; None for the default one, or a free one if that
            is taken.
        mlflow_port: The port of MLflow, likewise.

    Raises:
        UserError: A port is taken.
        RunError: A server does not start, or ends.
    """
    port = _port("TensorBoard", host, tensorboard_port, TENSORBOARD_PORT)
    programs = [make_tensorboard(view.folder, host, port)]
    remote_mlflow, store = _remote_mlflow(), store_folder(output_dir)
    has_store = database(store).exists() or not is_embedded(store)
    # A user whose runs are on a server has its pages; without runs, MLflow would create a store.
    if remote_mlflow is None and has_store:
        _repair(store)
        port = _port("MLflow", host, mlflow_port, MLFLOW_PORT)
        programs.append(make_mlflow(store, host, port))
    if not is_local(host):
        print(
            f"warning: --host {host}: anyone who can reach this machine can read all runs, and "
            "change and delete them in MLflow.",
            file=sys.stderr,
        )
    print("starting …", flush=True)  # both servers take some 6 s
    with running(programs) as servers:
        addresses = [_address(program) for program in programs]
        mlflow = remote_mlflow or next(iter(addresses[1:]), None)
        pages = Pages(output_dir, addresses[0], mlflow, view)
        for name, text in pages.lines():
            print(f"{name:<13} {text}".rstrip())
        print("Ctrl-C stops", " and ".join(program.name for program in programs), flush=True)
        servers.wait(view.refresh)


def _repair(output_dir: Path) -> None:
    """Repairs a store that was moved or copied, so that its artifacts are found."""
    try:
        for place in repair_store(output_dir):
            print(f"the MLflow store was moved: its artifacts are beside it, no longer in {place}")
    except (OSError, RunError) as error:  # metrics and params can be shown nevertheless
        print(f"warning: MLflow may not find artifacts: {error}", file=sys.stderr)


def _port(name: str, host: str, wanted: int | None, usual: int) -> int:
    port = choose_port(host, wanted, usual)
    if wanted is None and port != usual:
        print(f"port {usual} is taken; {name} listens on {port}")
    return port


def _remote_mlflow() -> str | None:
    """Returns the URL of the MLflow server in MLFLOW_TRACKING_URI, if any, without credentials."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not address.startswith(("http://", "https://")):
        return None
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _address(program: ServerProgram) -> str:
    return f"http://{url_host(public_host(program.host))}:{program.port}"
