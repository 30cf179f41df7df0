"""`expt.ui` with the real servers: their answers, where they listen, and that they all end."""

import json
import signal
import socket
import urllib.error
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow_helpers import until
from record_helpers import make_run

from conftest import Command
from e2e.ui_helpers import Interface, ask, interface, visdom_interface
from expt.record.visdom import VisdomRecorder
from expt.runs.run import Status
from expt.servers.network import public_host
from servers.process_helpers import free_port, is_alive, listening

_RUNS_OF_MLFLOW = "api/2.0/mlflow/runs/search"


@pytest.fixture(scope="module")
def folder(run_command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run in outputs/."""
    folder = tmp_path_factory.mktemp("project")
    done = run_command("loop.epochs=1", "loop.image_every=null", folder=folder)
    assert done.code == 0, done.error
    return folder


def _record(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("outputs/runs/*/*/run.json")
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def _base(address: str) -> str:
    return "/".join(address.split("/")[:3])


def test_servers_show_the_run_on_localhost_only_until_ctrl_c(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    with interface(folder) as shown:
        curves, images, parameters = shown.addresses("TensorBoard")
        (runs,) = shown.addresses("MLflow")
        assert curves.endswith("#timeseries")
        assert images.endswith("/#images")
        assert parameters.endswith("/#hparams")
        name = _record(folder)["run_name"]
        lines = {f"{name}/train", f"{name}/val"}
        until(
            lambda: set(ask(f"{_base(curves)}/data/runs")) == lines
        )  # TensorBoard loads runs one by one

        record = _record(folder)["mlflow"]
        assert f"/#/experiments/{record['experiment_id']}/runs" in runs
        question = {"experiment_ids": [record["experiment_id"]]}
        (run,) = ask(f"{_base(runs)}/{_RUNS_OF_MLFLOW}", question)["runs"]
        assert run["info"]["run_id"] == record["run_id"]

        ports = listening(shown.started)
        assert {address for address, _ in ports} == {"127.0.0.1"}
        assert {int(_base(page).rpartition(":")[2]) for page in (curves, runs)} <= {
            port for _, port in ports
        }
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(f"{_base(runs)}/{_RUNS_OF_MLFLOW}", question, Host="10.evil.example")

        assert len(shown.started) >= 3  # MLflow's are two
        assert shown.end(signal.SIGINT) == (130, "interrupted\n")
        until(lambda: not any(map(is_alive, shown.started)))
    assert sorted(folder.rglob("*")) == before


def test_only_named_runs_are_shown_and_killed_command_leaves_no_process(folder: Path) -> None:
    name = _record(folder)["run_name"]
    with interface(folder, name) as shown:
        board = _base(shown.addresses("TensorBoard")[0])
        lines = {f"{name}/train", f"{name}/val"}
        until(lambda: set(ask(f"{board}/data/runs")) == lines)
        assert len(shown.started) >= 3
        assert shown.end(signal.SIGKILL) == (-signal.SIGKILL, "")
        until(lambda: not any(map(is_alive, shown.started)))


def test_server_that_ends_is_reported_and_ends_the_other(folder: Path) -> None:
    with interface(folder) as shown:
        (board,) = (p for p in shown.started if "expt.servers.board" in p.cmdline())
        board.kill()
        assert shown.process.wait(60) == 1
        assert shown.process.stderr is not None
        assert shown.process.stderr.read().startswith("error: TensorBoard has ended.")
        until(lambda: not any(map(is_alive, shown.started)))


def test_host_opens_all_interfaces_and_taken_ports_are_replaced(folder: Path) -> None:
    with ExitStack() as taken:
        for port in (6006, 5000):
            with suppress(OSError):  # taken by another process, which is as good
                taken.enter_context(socket.create_server(("0.0.0.0", port)))  # noqa: S104
        shown = Interface(folder, "--host", "0.0.0.0")  # noqa: S104
        taken.callback(shown.process.kill)
        assert shown.lines[0].startswith("port 6006 is taken; TensorBoard listens on ")
        assert shown.lines[1].startswith("port 5000 is taken; MLflow listens on ")
        (runs,) = shown.addresses("MLflow")
        assert public_host("0.0.0.0") in runs  # noqa: S104
        assert "0.0.0.0" in {address for address, _ in listening(shown.started)}  # noqa: S104
        # Like a browser on another machine, which names the origin of its page.
        question = {"experiment_ids": [_record(folder)["mlflow"]["experiment_id"]]}
        page = _base(runs)
        assert ask(f"{page}/{_RUNS_OF_MLFLOW}", question, Origin=page)["runs"]
        for other in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                ask(f"{page}/{_RUNS_OF_MLFLOW}", question, **other)
        code, error = shown.end(signal.SIGTERM)
        assert (code, error.splitlines()[1:]) == (143, ["terminated"])
        assert error.startswith("warning: --host 0.0.0.0: ")


def test_remote_server_is_printed_without_its_password(folder: Path) -> None:
    store = "https://somebody:open-sesame@mlflow.example:8443/team/"
    with interface(folder, MLFLOW_TRACKING_URI=store) as shown:
        experiment = _record(folder)["mlflow"]["experiment_id"]
        expected = f"https://mlflow.example:8443/team/#/experiments/{experiment}/runs"
        (address,) = shown.addresses("MLflow")
        assert address.partition("?")[0] == expected
        assert shown.lines[-1] == "Ctrl-C stops TensorBoard"
        assert not any("mlflow" in " ".join(process.cmdline()) for process in shown.started)


def test_visdom_is_started_before_the_first_run_and_on_localhost_only(tmp_path: Path) -> None:
    port = free_port()
    given = ("--visdom", f"--visdom-port={port}", "--host=0.0.0.0")
    with visdom_interface(tmp_path, *given) as shown:
        (address,) = shown.addresses("Visdom")
        assert address == f"http://127.0.0.1:{port}"
        assert f"recorder=visdom recorder.visdom.port={port}" in "\n".join(shown.lines)
        assert shown.lines[-1] == "Ctrl-C stops TensorBoard and Visdom"
        assert [place for place, number in listening(shown.started) if number == port] == [
            "127.0.0.1"
        ]
        recorder = VisdomRecorder(port=port)
        recorder.open(make_run(tmp_path))
        recorder.close(Status.FINISHED)
        assert "experiment_name_of_the_run" in ask(f"{address}/env_state", {})
        assert shown.end(signal.SIGINT)[0] == 130
        until(lambda: not any(map(is_alive, shown.started)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "output_dir=outputs: this folder contains no runs"),
        (["output_dir=nowhere"], "output_dir=nowhere: this folder contains no runs"),
    ],
)
def test_user_errors_are_reported(
    arguments: list[str], message: str, run_command: Command, tmp_path: Path
) -> None:
    done = run_command(*arguments, folder=tmp_path, command="ui")
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_unknown_run_is_reported(folder: Path, run_command: Command) -> None:
    done = run_command("nothing", folder=folder, command="ui")
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("error: nothing: there is no such run.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "203.0.113.7"], "--host 203.0.113.7 can't be listened on"),
        (["--tensorboard-port", "70000"], "port 70000 can't be listened on"),
    ],
)
def test_unusable_host_or_port_is_reported(
    arguments: list[str], message: str, run_command: Command, folder: Path
) -> None:
    done = run_command(*arguments, folder=folder, command="ui")
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith(f"error: {message}")
