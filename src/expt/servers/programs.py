"""The command lines and environments of TensorBoard, MLflow and Visdom."""

import os
from pathlib import Path

from expt.record.mlflow.store import artifacts_uri, home, is_embedded, store_uri
from expt.servers.network import LOOPBACK, host_names, is_local, url_host
from expt.servers.server import ServerProgram

_SECONDS_BETWEEN_RELOADS = "5"
_LOCAL_NAMES = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[[]::1]", "[[]::1]:*")


def make_tensorboard(folder: Path, host: str, port: int) -> ServerProgram:
    """Returns the program of TensorBoard for the runs in a folder."""
    options = {
        "--logdir": str(folder),
        "--host": host,
        "--port": str(port),
        # By default, 1,000 scalars and 10 images per tag. According to the documentation 0 shows
        # all, but TensorBoard 2.21 then shows none.
        "--samples_per_plugin": "images=1000,scalars=1000000",
        "--reload_interval": _SECONDS_BETWEEN_RELOADS,
    }
    return ServerProgram(
        name="TensorBoard",
        module="expt.servers.board",
        arguments=_flat(options),
        host=host,
        port=port,
        path="/data/environment",
    )


def make_mlflow(output_dir: Path, host: str, port: int) -> ServerProgram:
    """Returns the program of MLflow for the store at MLFLOW_TRACKING_URI, else the embedded one."""
    options = {"--host": host, "--port": str(port), "--workers": "1"}
    environment = {
        **home(),
        # Not an argument, which any user can read in the list of processes: it may have a password.
        "MLFLOW_BACKEND_STORE_URI": store_uri(output_dir),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # saves several processes and over 2 GB
    }
    arguments = _flat(options)
    if is_embedded(output_dir):
        # Recorders write artifacts to the folder directly, so the server need not accept uploads.
        arguments += ["--no-serve-artifacts", "--default-artifact-root", artifacts_uri(output_dir)]
    # MLflow's defaults also allow every host name that begins like a private address.
    hosts, origins = list(_LOCAL_NAMES), []
    if not is_local(host):
        names = [f"{url_host(name)}:{port}" for name in host_names(host)]
        hosts += names
        origins += [f"http://{name}" for name in names]
    for name, values in {
        "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins,
    }.items():
        given = [os.environ[name]] if os.environ.get(name) else []
        environment[name] = ",".join([*given, *values])
    return ServerProgram(
        name="MLflow",
        module="mlflow",
        arguments=["server", *arguments],
        environment=environment,
        host=host,
        port=port,
        path="/health",
    )


def make_visdom(port: int) -> ServerProgram:
    """Returns the program of Visdom, which can be reached only from this machine.

    Everyone who reaches Visdom can write to it, and it stores what it receives in `~/.visdom/`.
    """
    return ServerProgram(
        name="Visdom",
        module="expt.servers.visdom",
        # By default it logs every request, which are many.
        arguments=["-port", str(port), "-bind_local", "-logging_level", "WARNING"],
        host=LOOPBACK,
        port=port,
        path="/",
    )


def _flat(options: dict[str, str]) -> list[str]:
    return [text for option in options.items() for text in option]
