"""How TensorBoard and MLflow are started over the records of all runs."""

import os
from pathlib import Path

from expt.record.mlflow.store import artifacts_uri, home, is_embedded, store_uri
from expt.servers.network import in_address, is_local, names_of
from expt.servers.server import ServerProgram

_SECONDS_BETWEEN_RELOADS = "5"
_LOCAL_NAMES = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[[]::1]", "[[]::1]:*")


def make_tensorboard(folder: Path, host: str, port: int) -> ServerProgram:
    """Makes TensorBoard with all steps and images of the runs in a folder."""
    options = {
        "--logdir": str(folder),
        "--host": host,
        "--port": str(port),
        # Its documents say 0 for all, but TensorBoard 2.21 shows none then.
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
    """Makes MLflow's server over the store at MLFLOW_TRACKING_URI, else over the embedded one."""
    options = {"--host": host, "--port": str(port), "--workers": "1"}
    environment = {
        **home(),
        "MLFLOW_BACKEND_STORE_URI": store_uri(output_dir),  # lists of processes show arguments
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # several processes, and 2 GB of memory
    }
    arguments = _flat(options)
    if is_embedded(output_dir):
        # Recorders write pictures and models there by themselves; nobody else shall.
        arguments += ["--no-serve-artifacts", "--default-artifact-root", artifacts_uri(output_dir)]
    # What it allows by itself is wider: all names that begin like a private address.
    hosts, origins = list(_LOCAL_NAMES), []
    if not is_local(host):
        names = [f"{in_address(name)}:{port}" for name in names_of(host)]
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


def _flat(options: dict[str, str]) -> list[str]:
    return [text for option in options.items() for text in option]
