"""The command line of expt.run, in this process; tests/e2e runs it in others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
import yaml

import ready_processes
from expt import run
from expt.config import hydra_setup
from expt.config.compose import Composition
from expt.record.phases import end_phase


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Records the overrides of each composition by Hydra."""
    calls: list[list[str]] = []
    compose = hydra_setup.__dict__["compose"]  # Hydra's own

    def counted(name: str, overrides: list[str], **options: bool) -> object:
        calls.append(overrides)
        return compose(name, overrides, **options)

    monkeypatch.setattr(hydra_setup, "compose", counted)
    return calls


@pytest.fixture(autouse=True)
def _is_driven_by_expt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hydra, "main", None)
    monkeypatch.setattr(sys, "argv", ("run",))  # a tuple can't be changed
    yield
    end_phase()


def test_run_is_composed_once_and_trained(
    composed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Composition] = []

    def start(composition: Composition, _phases: object) -> int:
        started.append(composition)
        return 3

    monkeypatch.setattr(run, "start_run", start)
    assert run._run(["act=tanh", "seed=3"]) == 3
    (composition,) = started
    job = composition.first_job().job
    assert (job.config.seed, job.choices["act"], job.overrides) == (
        3,
        "tanh",
        ("act=tanh", "seed=3"),
    )
    assert composed == [["act=tanh", "seed=3"]]


def test_sweep_of_values_is_composed_once(
    composed: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run._run(["-m", "seed=range(50)", "model.units=[8],[9]", "--cfg", "job"]) == 0
    first, *others = yaml.safe_load_all(capsys.readouterr().out)
    assert (first["seed"], first["model"]["units"], len(others)) == (0, [8], 99)
    assert others[-1] == {"seed": 49, "model": {"units": [9]}}
    assert composed == [["hydra.mode=MULTIRUN"]]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--help", "act=tanh"], ["act=tanh: ", "  act.activation: tanh"]),
        (["--help"], ["Groups and their options", "  model.units: [128, 128]  "]),
        (["--help", "-m", "seed=7,8", "--resolve"], ["seed: 7"]),
        (["--hydra-help"], ["Hydra (1.3", "--config-dir"]),
        (["--info", "searchpath", "--config-dir", "CONF"], ["| user ", "file://CONF", "| main "]),
        (["--info", "defaults", "act=tanh"], ["act/tanh", "sweeper/grid", "launcher/local"]),
        (["-sc", "install=bash"], ["_expt_complete"]),
        (["-sc", "install=fish"], ["fish"]),
    ],
)
def test_help_is_hydras(arguments: list[str], printed: list[str], tmp_path: Path) -> None:
    """In a process of its own: Hydra configures the logging of the whole process."""
    given = [argument.replace("CONF", str(tmp_path)) for argument in arguments]
    done = ready_processes.run(
        [sys.executable, "-m", "expt.run", *given], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = [text.replace("CONF", str(tmp_path)) for text in printed]
    assert [text for text in shown if text not in done.stdout] == []
