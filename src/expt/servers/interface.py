"""The web interface: TensorBoard, MLflow and Visdom for all runs, until Ctrl-C."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expt.errors import RunError
from expt.record.mlflow.store import database, is_embedded, repair_store
from expt.record.visdom import PORT as VISDOM_PORT
from expt.record.visdom import check_installed
from expt.servers.network import LOOPBACK, choose_port, is_local, public_host, url_host
from expt.servers.pages import Pages
from expt.servers.programs import make_mlflow, make_tensorboard, make_visdom
from expt.servers.server import ServerProgram, running
from expt.servers.store import store_folder
from expt.servers.view import View

PORTS = {"TensorBoard": 6006, "MLflow": 5000, "Visdom": VISDOM_PORT}
"""The default port of each server."""


def serve(
    view: View,
    output_dir: Path,
    host: str,
    ports: Mapping[str, int | None],
    *,
    with_visdom: bool = False,
) -> None:
    """Starts the servers, prints the addresses of pages, and serves until interrupted.

    Args:
        view: The folder that TensorBoard shows.
        output_dir: The folder of all runs.
        host: The host to listen on; Visdom can always be reached only from this machine.
        ports: The port of each server by name; None for the default one, or a free one if that is
            taken.
        with_visdom: Whether to start Visdom too.

    Raises:
        UserError: A port is taken, or Visdom is not installed.
        RunError: A server does not start, or ends.
    """
    if with_visdom:
        check_installed("--visdom")
    port = _port("TensorBoard", host, ports)
    programs = [make_tensorboard(view.folder, host, port)]
    remote_mlflow, store = _remote_mlflow(), store_folder(output_dir)
    has_store = database(store).exists() or not is_embedded(store)
    # A user whose runs are on a server has its pages; without runs, MLflow would create a store.
    if remote_mlflow is None and has_store:
        _repair(store)
        programs.append(make_mlflow(store, host, _port("MLflow", host, ports)))
    if with_visdom:
        programs.append(make_visdom(_port("Visdom", LOOPBACK, ports)))
    if not is_local(host):
        print(
            f"warning: --host {host}: anyone who can reach this machine can read all runs, and "
            "change and delete them in MLflow.",
            file=sys.stderr,
        )
    print("starting …", flush=True)  # TensorBoard and MLflow take some 6 s
    with running(programs) as servers:
        addresses = {program.name: _address(program) for program in programs}
        mlflow, visdom = remote_mlflow or addresses.get("MLflow"), addresses.get("Visdom")
        pages = Pages(output_dir, addresses["TensorBoard"], mlflow, visdom, view)
        for name, text in pages.lines():
            print(f"{name:<13} {text}")
        *others, last = addresses
        print(
            "Ctrl-C stops",
            " and ".join([", ".join(others), last] if others else [last]),
            flush=True,
        )
        servers.wait(view.refresh)


def _repair(output_dir: Path) -> None:
    """Repairs a store that was moved or copied, so that its artifacts are found."""
    try:
        for place in repair_store(output_dir):
            print(f"the MLflow store was moved: its artifacts are beside it, no longer in {place}")
    except (OSError, RunError) as error:  # metrics and params can be shown nevertheless
        print(f"warning: MLflow may not find artifacts: {error}", file=sys.stderr)


def _port(name: str, host: str, ports: Mapping[str, int | None]) -> int:
    wanted, usual = ports[name], PORTS[name]
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
