"""The command lines and environments of the servers."""

from pathlib import Path

import pytest

from expt.servers.network import choose_port, host_names
from expt.servers.programs import make_mlflow

_HOSTS, _ORIGINS = "MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"


def test_store_is_not_an_argument_but_an_environment_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = "postgresql://somebody:open-sesame@127.0.0.1/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    program = make_mlflow(tmp_path, "127.0.0.1", 5000)
    assert program.environment["MLFLOW_BACKEND_STORE_URI"] == store
    assert "sesame" not in " ".join(program.arguments)
    assert "--default-artifact-root" not in program.arguments


def test_local_server_knows_no_other_name(tmp_path: Path) -> None:
    environment = make_mlflow(tmp_path, "127.0.0.1", 5000).environment
    hosts = environment[_HOSTS].split(",")
    assert {"127.0.0.1:*", "localhost:*"} <= set(hosts)
    assert all(host.startswith(("127.0.0.1", "localhost", "[[]::1]")) for host in hosts)
    assert environment[_ORIGINS] == ""


@pytest.mark.parametrize("host", ["192.0.2.4", "2001:db8::4", "0.0.0.0"])  # noqa: S104
def test_public_server_allows_its_names_and_those_of_the_user(
    host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(_HOSTS, "runs.example")
    environment = make_mlflow(tmp_path, host, 5000).environment
    hosts, origins = environment[_HOSTS].split(","), environment[_ORIGINS].split(",")
    assert {"runs.example", "127.0.0.1:*"} <= set(hosts)
    assert not {"*", "*:5000"} & {*hosts, *origins}
    for name in host_names(host):
        named = f"[{name}]:5000" if ":" in name else f"{name}:5000"
        assert named in hosts
        assert f"http://{named}" in origins


def test_free_port_is_chosen() -> None:
    port = choose_port("127.0.0.1", None, 0)
    assert choose_port("127.0.0.1", None, port) == port
    assert choose_port("127.0.0.1", port, 0) == port
