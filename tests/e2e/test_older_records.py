"""Runs and sweeps recorded by the version before issue 14 (tests/older_records/README.md)."""

import csv
import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow_helpers import client_of, journal_metrics, stored_metrics
from sklearn.datasets import load_digits

from conftest import Command
from expt.record.journal import read_journal
from resume.interrupting import final_state

TESTS = Path(__file__).parents[1]
RUNS, SWEEPS = Path("outputs/runs"), Path("outputs/sweeps")
RESUME = ("--allow-code-change",)  # modules of expt itself have changed since

# MLflow warns about its own code when its pyfunc module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the older working directory, with its MLflow store and its own parts."""
    folder = Path(shutil.copytree(TESTS / "older_records/project", tmp_path / "project"))
    for name in ("conf", "my_project"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TESTS / "user_project" / name, folder / name, ignore=ignored)
    statements = gzip.decompress((folder / "outputs/mlflow.sql.gz").read_bytes()).decode()
    connection = sqlite3.connect(folder / "outputs/mlflow.db")
    connection.executescript(statements)
    connection.close()
    return folder


def record_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def values_of(directory: Path) -> dict[tuple[int, str], float]:
    """Returns the values of the journal by step and name, without those that depend on time."""
    return {
        (record["step"], name): float(value)
        for record in read_journal(directory / "metrics.jsonl")
        for name, value in record.items()
        if name.startswith(("train/", "val/", "test/"))
    }


def near(expected: Any) -> Any:
    """Tolerates rounding: the records are from another CPU, and differences grow with each step."""
    return pytest.approx(expected, rel=1e-3, abs=1e-5)


def assert_equals_finished(directory: Path, project: Path) -> None:
    """Asserts that a resumed run equals the undisturbed one."""
    finished = project / RUNS / "finished"
    assert values_of(directory) == near(values_of(finished))
    record, expected = record_of(directory), record_of(finished)
    assert (record["status"], record["closed"]) == ("FINISHED", True)
    for name in ("best", "final"):
        numbers = [
            {k: v for k, v in each[name].items() if k != "watched"} for each in (record, expected)
        ]
        assert numbers[0] == near(numbers[1])
    state, reference = final_state(directory), final_state(finished)
    assert state.arrays.keys() == reference.arrays.keys()
    for name, array in reference.arrays.items():
        np.testing.assert_allclose(state.arrays[name], array, rtol=1e-2, atol=1e-4, err_msg=name)


def assert_in_mlflow(directory: Path, project: Path, run_id: str) -> None:
    """Asserts that the MLflow run of the older version has each value of the journal once."""
    client = client_of(f"sqlite:///{project}/outputs/mlflow.db")
    record = record_of(directory)
    assert record["mlflow"]["run_id"] == run_id
    stored = client.search_runs(
        [record["mlflow"]["experiment_id"]], f"tags.`expt.id` = '{record['id']}'"
    )
    assert [(run.info.run_id, run.info.status) for run in stored] == [(run_id, record["status"])]
    assert stored_metrics(client, run_id) == journal_metrics(directory)
    assert stored[0].data.params["optimizer.learning_rate"] == "0.01"


def test_older_runs_are_listed(project: Path, run_here: Command) -> None:
    done = run_here("--jobs", folder=project, command="list")
    assert (done.code, done.error) == (0, "")
    words = {line.split()[-1]: line.split() for line in done.out.splitlines()[1:]}
    waiting = words.pop("outputs/sweeps/interrupted/2_optimizer.learning_rate=0.001")
    assert "PENDING" in waiting
    assert {place: line[2] for place, line in words.items()} == {
        "outputs/runs/finished": "FINISHED",
        "outputs/runs/interrupted": "KILLED",
        "outputs/runs/died": "RUNNING",  # recorded on another host, where its process may still run
        "outputs/runs/own_parts": "FINISHED",
        "outputs/runs/gan": "FINISHED",
        "outputs/runs/diverged": "FAILED",
        "outputs/sweeps/finished": "FINISHED",
        **{
            f"outputs/sweeps/finished/{number}_act={act},seed={seed}": "FINISHED"
            for number, (act, seed) in enumerate(
                [("relu", 0), ("relu", 1), ("tanh", 0), ("tanh", 1)]
            )
        },
        "outputs/sweeps/interrupted": "KILLED",
        "outputs/sweeps/interrupted/0_optimizer.learning_rate=0.01": "FINISHED",
        "outputs/sweeps/interrupted/1_optimizer.learning_rate=0.003": "KILLED",
    }
    assert {"0.33", "val/loss"} <= set(words["outputs/runs/finished"])
    assert {"0.4527", "val/certainty"} <= set(words["outputs/runs/own_parts"])
    assert {"1.609", "val/loss"} <= set(words["outputs/sweeps/finished"])


def test_differences_of_older_runs_are_shown(project: Path, run_here: Command) -> None:
    names = [str(RUNS / name) for name in ("finished", "interrupted")]
    done = run_here(*names, folder=project, command="diff")
    assert (done.code, done.error) == (0, "")
    assert "the same: config, code, packages, data, machine\n" in done.out
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "train/loss equal at 60 common steps" in lines
    assert "val/accuracy equal at 15 common steps" in lines
    assert "status FINISHED KILLED" in lines
    assert "train/loss 0.21374062 0.67102355 +0.4573" in lines


def test_older_sweep_is_compared(project: Path, run_here: Command) -> None:
    given = (str(SWEEPS / "finished"), "--csv", "table.csv", "--html", "report.html")
    done = run_here(*given, folder=project, command="compare")
    assert (done.code, done.error) == (0, "")
    assert "4 runs, 2 variants" in done.out
    with (project / "table.csv").open(newline="") as file:
        rows = {row["act"]: row for row in csv.DictReader(file)}
    assert {act: float(row["best/val/loss mean"]) for act, row in rows.items()} == pytest.approx(
        {"relu": 1.8396514654, "tanh": 1.6469767690}, rel=1e-9
    )
    assert {act: row["verdict"] for act, row in rows.items()} == {"tanh": "best", "relu": "worse"}
    assert float(rows["tanh"]["test/accuracy mean"]) == pytest.approx(0.6611111164, rel=1e-9)
    assert "1.647" in (project / "report.html").read_text()


def test_all_older_runs_are_compared(project: Path, run_here: Command) -> None:
    done = run_here(str(RUNS), folder=project, command="compare")
    assert (done.code, done.error) == (0, "")
    assert "6 runs" in done.out
    assert "train/loss became inf at step 2" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("name", "data", "examples"),
    [("finished", "digits", 270), ("own_parts", "spirals", 180), ("gan", "digits", 270)],
)
def test_older_run_is_evaluated(
    project: Path,
    run_here: Command,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    data: str,
    examples: int,
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "my_project")
    given = ("--config-dir", "conf") if name == "own_parts" else ()
    directory = project / RUNS / name
    done = run_here(str(directory), *given, folder=project, command="evaluate")
    assert done.code == 0, done.error
    result = json.loads((directory / "evaluations" / f"{data}-test.json").read_text())
    assert result["examples"] == examples
    final = record_of(directory)["final"]
    expected = {key: final[f"test/{key}"] for key in result["metrics"]}
    assert result["metrics"] == pytest.approx(expected, rel=1e-4)
    assert len(expected) == {"finished": 2, "own_parts": 3, "gan": 1}[name]


def test_older_run_predicts(project: Path, run_here: Command) -> None:
    digits = load_digits()
    np.save(project / "inputs.npy", (digits.images / 16)[..., None].astype(np.float32))
    given = (str(RUNS / "finished"), "inputs.npy", "predictions.csv")
    done = run_here(*given, folder=project, command="predict")
    assert done.code == 0, done.error
    with (project / "predictions.csv").open(newline="") as file:
        classes = [int(row["class"]) for row in csv.DictReader(file)]
    assert np.mean(np.asarray(classes) == digits.target) == pytest.approx(0.934, abs=0.02)


def test_mlflow_is_completed_from_older_runs(project: Path, run_here: Command) -> None:
    directory = project / RUNS / "finished"
    run_id = record_of(directory)["mlflow"]["run_id"]
    done = run_here(str(directory), folder=project, command="sync")
    assert (done.code, done.error) == (0, "")
    # The artifacts of the older store are not part of the recorded project.
    assert f"{RUNS}/finished: added the model\n1 run: 1 completed\n" in done.out
    assert_in_mlflow(directory, project, run_id)
    done = run_here(str(directory), folder=project, command="sync")
    assert done.out == f"{RUNS}/finished: complete\n1 run: 1 already complete\n"


def test_interrupted_older_run_is_resumed(project: Path, run_here: Command) -> None:
    directory = project / RUNS / "interrupted"
    run_id = record_of(directory)["mlflow"]["run_id"]
    done = run_here(str(directory), *RESUME, folder=project, command="resume")
    assert done.code == 0, done.error
    assert "from step 60\n" in done.out
    (entry,) = record_of(directory)["resumed"]
    assert (entry["step"], entry["from"], entry["changes"]) == (60, "KILLED", {})
    assert_equals_finished(directory, project)
    # On a busy machine, the recorder may have left the last values to `expt.sync`.
    assert run_here(str(directory), folder=project, command="sync").code == 0
    assert_in_mlflow(directory, project, run_id)


def test_older_run_whose_process_died_is_closed_and_resumed(
    project: Path, run_here: Command
) -> None:
    directory = project / RUNS / "died"
    done = run_here(str(directory), *RESUME, folder=project, command="resume")
    assert done.code == 2
    assert "is RUNNING on the host workstation" in done.error
    done = run_here(str(directory), folder=project, command="sync")
    assert f"{RUNS}/died: its process has died; closed as KILLED\n" in done.out
    done = run_here(str(directory), *RESUME, folder=project, command="resume")
    assert done.code == 0, done.error
    assert record_of(directory)["resumed"][0]["step"] == 4
    assert_equals_finished(directory, project)


def test_older_run_with_a_learner_is_extended(project: Path, run_here: Command) -> None:
    directory = project / RUNS / "gan"
    before = values_of(directory)
    given = (str(directory), "loop.steps=16", *RESUME)
    done = run_here(*given, folder=project, command="resume")
    assert done.code == 0, done.error
    record, values = record_of(directory), values_of(directory)
    assert (record["status"], record["resumed"][0]["step"]) == ("FINISHED", 12)
    assert {place: values[place] for place in before} == before
    assert values[16, "train/loss"] == near(0.8313533)
    assert values[16, "train/discriminator_loss"] == near(0.6651525)


def test_older_config_is_trained_again(project: Path, run_here: Command) -> None:
    given = ("--rerun", str(RUNS / "finished"), "recorder=[]", "loop.epochs=2")
    done = run_here(*given, "output_dir=others", folder=project)
    assert done.code == 0, done.error
    (directory,) = (project / "others/runs").glob("*/*")
    expected = values_of(project / RUNS / "finished")
    values = {
        place: value for place, value in values_of(directory).items() if "test" not in place[1]
    }
    assert len(values) == 8 * 4 + 2 * 2
    assert values == near({place: expected[place] for place in values})


def test_interrupted_older_sweep_is_resumed(project: Path, run_here: Command) -> None:
    sweep = project / SWEEPS / "interrupted"
    first = sweep / "0_optimizer.learning_rate=0.01"
    before = {file: file.read_bytes() for file in (first / "metrics.jsonl", first / "run.json")}
    killed = sweep / "1_optimizer.learning_rate=0.003"
    journal = (killed / "metrics.jsonl").read_bytes()
    done = run_here(str(sweep), *RESUME, folder=project, command="resume")
    assert done.code == 0, done.error
    assert "3 of 3 jobs finished" in done.out
    content = json.loads((sweep / "sweep.json").read_text())
    assert content["status"] == "FINISHED"
    assert [job["status"] for job in content["jobs"]] == ["FINISHED"] * 3
    assert {file: file.read_bytes() for file in before} == before
    assert (killed / "metrics.jsonl").read_bytes().startswith(journal)
    assert record_of(killed)["resumed"][0]["step"] == 122
    losses = [record_of(sweep / job["directory"])["best"]["val/loss"] for job in content["jobs"]]
    assert losses == near([0.348786, 0.418413, 0.436698])
