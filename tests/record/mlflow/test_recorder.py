"""The mirror of a run in this process; tests/e2e has tests with the recorder's child process."""

import functools
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_helpers import (
    assert_store_equals_files,
    client_of,
    end,
    id_of,
    stored_images,
    stored_metrics,
    write_image,
    write_scalars,
)
from record_helpers import make_run

from expt.errors import RunError
from expt.record.mlflow.recorder import log_evaluation, store_uri
from expt.record.mlflow.store import prepare_mlflow
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status

# A warning of MLflow when its pyfunc module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, which tests copy since creating one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    client_of(store_uri(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def run(tmp_path: Path, database: Path) -> Run:
    shutil.copyfile(database, tmp_path / "mlflow.db")
    run = make_run(tmp_path)
    run.update(id="1234", model_input_shape=[4], model_output_shape=[2])
    return run


def _copy(run: Run, *, is_new: bool = False) -> Any:
    """Returns a new mirror of a run, as another process has it."""
    from expt.record.mlflow.run_mirror import RunMirror

    client_of(store_uri(run.output_dir))
    return RunMirror(run, is_new, lambda _seconds: None)


def _remove_place(run: Run) -> None:
    """Removes the MLflow ids from a record, as if the answer with them was lost."""
    values = run.record.to_mapping()
    del values["mlflow"]
    run.record = RunRecord.of(values)


def _finish(run: Run, status: Status = Status.FINISHED) -> Any:
    """Ends and mirrors a run; returns the parts that the store lacked."""
    end(run, status)
    copy = _copy(run)
    copy.advance()
    copy.finish()
    return copy.added


def _assert_equal(run: Run) -> Any:
    return assert_store_equals_files(run.directory, store_uri(run.output_dir))


def _failing(function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """Returns a request that is lost, or is carried out and its answer lost if `after`."""

    @functools.wraps(function)
    def fail(*arguments: Any, **options: Any) -> None:
        if after:
            function(*arguments, **options)
        raise ConnectionError

    return fail


def test_store_is_the_users_or_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store_uri(tmp_path) == "http://127.0.0.1:5000"


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED, Status.KILLED])
def test_a_run_is_followed_to_its_end(status: Status, run: Run) -> None:
    copy = _copy(run, is_new=True)
    write_scalars(run, range(1, 800))  # more values than fit into a request
    write_image(run, 7)
    copy.advance()
    write_scalars(run, range(800, 805), special=True)
    write_image(run, 804)
    with (run.directory / "metrics.jsonl").open("ab") as journal:
        journal.write(b'{"step": 805, "epoch": 1, "ti')  # an incomplete line
    copy.advance()
    copy.advance()
    (run.directory / "model.keras").write_bytes(b"a model")
    end(run, status)
    copy.advance()
    copy.finish()
    assert (copy.added.values, copy.added.images) == (2 * 804, 2)
    assert copy.added.model is (status is not Status.KILLED)
    stored = _assert_equal(run)
    assert stored.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert stored.data.tags["git.dirty"] == "True"
    assert stored.data.params["model.units"] == "[1, 2]"
    (given,) = stored.inputs.dataset_inputs
    assert given.dataset.digest == "f" * 32
    assert str(_finish(run, status)) == ""


def test_directory_tag_is_absolute(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run.directory.absolute()
    monkeypatch.chdir(tmp_path)
    run.directory = directory.relative_to(tmp_path)
    _finish(run)
    assert _assert_equal(run).data.tags["run_directory"] == str(directory)


def test_params_are_few_and_tags_have_all_values(run: Run) -> None:
    run.params = {**run.params, "data": "digits", "model.dropout": 0.5}
    choices = {"act": "relu", "data": "digits"}
    run.update(choices=choices, distinctive=["model.dropout"])
    _finish(run)
    data = _assert_equal(run).data
    assert data.params == {"act": "relu", "data": "digits", "model.dropout": "0.5", "seed": "3"}
    hidden = {k: v for k, v in data.tags.items() if k.startswith("mlflow.expt.")}
    assert hidden == {f"mlflow.expt.{key}": str(value) for key, value in run.params.items()}
    assert str(_finish(run)) == ""


def test_experiment_is_marked_as_training_unless_it_has_a_kind(run: Run) -> None:
    _finish(run)
    client = client_of(store_uri(run.output_dir))
    assert run.record.mlflow is not None
    experiment_id, kind = run.record.mlflow.experiment_id, "mlflow.experimentKind"
    assert client.get_experiment(experiment_id).tags == {kind: "custom_model_development"}
    client.set_experiment_tag(experiment_id, kind, "regression")
    _finish(run)
    assert client.get_experiment(experiment_id).tags == {kind: "regression"}
    artifacts = (run.output_dir / "mlartifacts").as_uri()
    older = client.create_experiment("older", artifact_location=artifacts)
    _remove_place(run)
    run.config = {**run.config, "name": "older"}
    _finish(run)
    assert client.get_experiment(older).tags == {kind: "custom_model_development"}


def test_speed_and_best_values_are_stored_once(run: Run) -> None:
    journal = b'{"step": 4, "epoch": 1, "time": 1795400001.0, "perf/steps_per_s": 250.0}\n'
    (run.directory / "metrics.jsonl").write_bytes(journal)
    best = {"step": 4, "watched": "val/loss", "val/loss": 0.5, "val/accuracy": 0.75}
    run.update(best=best, peak_memory=803_926_016)
    assert _finish(run).values == 5
    metrics = _assert_equal(run).data.metrics
    assert metrics == {
        "system/steps_per_s": 250.0,
        "system/peak_memory_megabytes": 803.9,
        "best/step": 4.0,
        "best/val/loss": 0.5,
        "best/val/accuracy": 0.75,
    }
    client, run_id = client_of(store_uri(run.output_dir)), id_of(run)
    (stored,) = client.get_metric_history(run_id, "best/val/loss")
    assert stored.step == 0  # for any other step, MLflow draws a point instead of a bar
    assert str(_finish(run)) == ""


@pytest.mark.parametrize("later", [60, 0, -60])
def test_the_best_values_of_a_resumed_run_are_the_latest_whatever_the_clock_says(
    later: float, run: Run
) -> None:
    best = {"step": 4, "watched": "val/loss", "val/loss": 0.5, "val/accuracy": 0.75}
    run.update(best=best)
    _finish(run, Status.KILLED)
    run.update(best={**best, "step": 9, "val/loss": 0.25}, started=run.record.started + later)
    assert _finish(run).values == 2
    assert _assert_equal(run).data.metrics["best/val/loss"] == 0.25
    assert str(_finish(run)) == ""
    # Back to the first values, which the store already has in its history.
    run.update(best=best)
    assert _finish(run).values == 2
    assert _assert_equal(run).data.metrics["best/val/loss"] == 0.5


def test_long_params_are_cut_and_many_are_sent_in_batches(run: Run) -> None:
    run.params = {f"key{number}": "x" * 7_000 for number in range(150)}
    _finish(run)
    params = _assert_equal(run).data.params
    assert len(params) == 150
    assert {len(value) for value in params.values()} == {6_000}


@pytest.mark.parametrize("after", [False, True])
def test_no_value_is_duplicated_or_missing_after_a_lost_answer(
    after: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = _copy(run, is_new=True)
    write_scalars(run, range(1, 601), special=True)
    copy.advance()
    write_scalars(run, range(601, 1_201))
    monkeypatch.setattr(copy._client, "log_batch", _failing(copy._client.log_batch, after=after))
    with pytest.raises(ConnectionError):
        copy.advance()
    # Of an embedded store, the lost request is that of the latest value of each metric.
    assert _finish(run).values == 1_200 - 2 * after
    _assert_equal(run)


def test_stored_values_are_not_sent_again(run: Run) -> None:
    """Values are compared without their times, which differ after a lost journal is recomputed."""
    write_scalars(run, range(1, 11), special=True)
    _finish(run)
    client, run_id = client_of(store_uri(run.output_dir)), id_of(run)
    before = stored_metrics(client, run_id)
    (run.directory / "metrics.jsonl").unlink()
    run.record = run.record.updated({"started": run.record.started + 5})
    write_scalars(run, range(1, 11), special=True)
    assert _finish(run).values == 0
    assert stored_metrics(client, run_id) == before


@pytest.mark.parametrize("knows_id", [False, True])
def test_run_is_found_after_a_lost_answer(knows_id: bool, run: Run) -> None:
    _copy(run, is_new=True)
    first = id_of(run)
    if not knows_id:
        _remove_place(run)
    assert not _finish(run).run
    assert id_of(run) == first


def test_duplicate_runs_of_a_repeated_request_are_removed(run: Run) -> None:
    _copy(run, is_new=True)
    kept = id_of(run)
    _remove_place(run)
    run.record = run.record.updated({"started": run.record.started + 1})  # to be sorted second
    _copy(run, is_new=True)
    run.record = run.record.updated({"started": run.record.started - 1})
    _remove_place(run)
    write_scalars(run, range(1, 3))
    _finish(run)
    assert id_of(run) == kept
    _assert_equal(run)


def test_deleted_run_stays_deleted(run: Run) -> None:
    _finish(run)
    client_of(store_uri(run.output_dir)).delete_run(id_of(run))
    with pytest.raises(RunError, match="deleted"):
        _copy(run)


def test_another_store_gets_another_run(
    run: Run, tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scalars(run, range(1, 4))
    _finish(run)
    first = id_of(run)
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copyfile(database, tmp_path / 'other.db')}"
    )
    monkeypatch.chdir(tmp_path)
    assert str(_finish(run)) == "a new run, 6 values, the status FINISHED"
    _assert_equal(run)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert str(_finish(run)) == ""
    assert id_of(run) == first


def test_resumed_run_is_running_and_has_tags_of_changed_values(run: Run) -> None:
    write_scalars(run, range(1, 6))
    _finish(run, Status.KILLED)
    run.is_resumed = True
    run.params = {**run.params, "loop.steps": 9}
    entries: list[dict[str, Any]] = [
        {"step": 2, "code": {"from": None, "changed": []}},
        {"step": 4},
        {"step": 5, "code": {"from": "a" * 16, "changed": ["mine.losses", "expt.train.session"]}},
    ]
    code = {"hash": "b" * 16, "modules": {"mine.losses": "c" * 16}}
    run.update(status=Status.RUNNING, resumed=entries, code=code)
    copy = _copy(run)
    client, run_id = client_of(store_uri(run.output_dir)), id_of(run)
    assert client.get_run(run_id).info.status == "RUNNING"
    write_scalars(run, range(6, 10))
    end(run)
    copy.advance()
    copy.finish()
    assert copy.added.values == 8
    data = _assert_equal(run).data
    assert (data.params["loop.steps"], data.tags["resumed.loop.steps"]) == ("None", "9")
    assert data.tags["code"] == "b" * 16
    assert data.tags["resumed.code"] == (
        "from step 2: unknown; from step 5: mine.losses, expt.train.session"
    )
    assert str(_finish(run)) == ""


@pytest.mark.parametrize("lost", ["create_logged_model", "log_outputs", "finalize_logged_model"])
@pytest.mark.parametrize("after", [False, True])
def test_model_is_stored_once_after_any_lost_request(
    lost: str, after: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.directory / "model.keras").write_bytes(b"a model")
    copy = _copy(run)
    end(run)
    monkeypatch.setattr(copy._client, lost, _failing(getattr(copy._client, lost), after=after))
    with pytest.raises(ConnectionError):
        copy.finish()
    was_ready = lost == "finalize_logged_model" and after
    assert _finish(run).model is not was_ready
    _assert_equal(run)


def test_better_model_of_a_resumed_run_is_added(run: Run) -> None:
    file = run.directory / "model.keras"
    for content in (b"a model", b"a better one"):
        file.write_bytes(content)
        assert _finish(run).model
        assert not _finish(run).model
    client = client_of(store_uri(run.output_dir))
    assert run.record.mlflow is not None
    models = client.search_logged_models([run.record.mlflow.experiment_id])
    assert [model.status for model in models] == ["READY", "READY"]
    # MLflow resolves runs:/ID/model to the first of them.
    assert models[0].tags["expt.model"] == hashlib.sha256(b"a better one").hexdigest()


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_incomplete_image_is_replaced(suffix: str, run: Run) -> None:
    for step in (1, 2, 12):
        write_image(run, step)
    _finish(run)
    client, run_id = client_of(store_uri(run.output_dir)), id_of(run)
    artifacts = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    (removed,) = artifacts.glob(f"images/*+step+2+*{suffix}")
    removed.unlink()
    (emptied,) = artifacts.glob(f"images/*+step+12+*{suffix}")
    emptied.write_bytes(b"")
    assert _finish(run).images == 2
    _assert_equal(run)
    assert sum(stored_images(client, run_id).values()) == 6


def test_secrets_are_not_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "swordfish")
    run.config = {**run.config, "data": {"path": "http://me:carp-fish@host/x?swordfish"}}
    run.params = {**run.params, "data.path": "http://me:carp-fish@host/x?swordfish"}
    (run.directory / "git.diff").write_text("+swordfish\n")
    _finish(run)
    artifacts = "".join(
        path.read_text() for path in run.directory.glob("mlartifacts/**/*") if path.is_file()
    )
    data = _assert_equal(run).data
    assert "+***" in artifacts
    for text in (artifacts, str(data.params), str(data.tags)):
        assert "fish" not in text


def _found(run: Run) -> FoundRun:
    return FoundRun(run.directory, run.record, run.output_dir)


def test_evaluation_is_added_or_the_error_is_raised(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not log_evaluation(_found(run), "digits-val", 3, {"loss": 0.5})
    _finish(run)
    assert log_evaluation(_found(run), "digits-val", 3, {"loss": 0.5})
    data = _copy(run)._client.get_run(id_of(run)).data
    assert data.metrics["with/digits-val/loss"] == 0.5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:carp-fish@127.0.0.1:9")
    with pytest.raises(RunError, match=r"does not answer \(Connection refused\)"):
        log_evaluation(_found(run), "digits-val", 3, {"loss": 0.5})


def test_error_of_an_evaluation_of_a_deleted_run_has_the_remedy(run: Run) -> None:
    _finish(run)
    client, run_id = client_of(store_uri(run.output_dir)), id_of(run)
    client.delete_run(run_id)
    with pytest.raises(RunError, match=r"was deleted in MLflow\. .* expt\.sync --restore "):
        log_evaluation(_found(run), "digits-val", 3, {"loss": 0.5})
    run.update(mlflow={"run_id": "f" * 32})
    with pytest.raises(RunError, match=r"To create the MLflow run again: python -m expt\.sync "):
        log_evaluation(_found(run), "digits-val", 3, {"loss": 0.5})


def test_nan_is_equal_only_to_nan() -> None:
    prepare_mlflow()
    from mlflow.entities import Metric

    from expt.record.mlflow.values import identity

    values = [float("nan"), float("inf"), float("-inf"), 0.0]
    assert len({identity(Metric("a/b", value, 1, 1)) for value in values}) == 4


def test_findings_are_tags(run: Run) -> None:
    write_scalars(run, range(1, 3))
    first = {"rule": "dead_units", "message": "half are dead", "remedy": "act=elu"}
    second = {"rule": "overfitting", "message": "val/loss rises"}
    run.update(findings=[first, second])
    _finish(run)
    client = client_of(store_uri(run.output_dir))

    def tags() -> dict[str, str]:
        stored = client.get_run(id_of(run)).data.tags
        return {key: value for key, value in stored.items() if key.startswith("doctor")}

    assert tags() == {
        "doctor": "dead_units, overfitting",
        "doctor.dead_units": "half are dead. Try act=elu",
        "doctor.overfitting": "val/loss rises.",
    }
    run.update(findings=[second])  # as after a resume
    _finish(run)
    assert tags() == {"doctor": "overfitting", "doctor.overfitting": "val/loss rises."}


def test_long_run_has_the_selected_points_once(run: Run) -> None:
    """Also after an interruption, and after a resumption with a longer plan."""
    run.config = {**run.config, "recorder": {"mlflow": {**_MLFLOW, "max_points": 10}}}
    run.update(planned_steps=100)
    write_scalars(run, range(1, 56))
    assert _steps_in_store(run, _finish(run, Status.KILLED)) == [1, *range(10, 60, 10), 55]
    write_scalars(run, range(56, 101))
    selected = [1, *range(10, 60, 10), 55, *range(60, 110, 10)]
    assert _steps_in_store(run, _finish(run)) == selected
    assert not str(_finish(run))
    run.update(planned_steps=150)
    write_scalars(run, range(101, 151))
    selected = sorted({*selected, *range(15, 165, 15)})
    assert _steps_in_store(run, _finish(run)) == selected


_MLFLOW = {"_target_": "expt.record.mlflow.MLflowRecorder"}


def _steps_in_store(run: Run, added: Any) -> list[int]:
    assert added.values
    stored = stored_metrics(client_of(store_uri(run.output_dir)), id_of(run))
    assert set(stored.values()) == {1}
    found = {name: sorted(s for n, s, *_ in stored if n == name) for name, *_ in stored}
    assert found["train/loss"] == found["train/mae"]
    return found["train/loss"]
