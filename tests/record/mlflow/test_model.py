"""The MLflow model of a run returns the predictions of `expt.predict` for the same raw values."""

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow_helpers import client_of, end, id_of
from numpy.typing import NDArray

from contracts.example_data import FILES
from expt.config.frozen import CONFIG_FILE
from expt.record.mlflow.store import store_uri
from expt.runs.record_parts import ScaleOfData
from expt.runs.records import RunRecord
from expt.runs.run import Run

# A warning of MLflow when its pyfunc module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

RANDOM = np.random.default_rng(0)
ROWS = 120
TABLE = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 80, ROWS).astype(str),
        "share": [f"{share:.1f}%" for share in RANDOM.uniform(0, 100, ROWS)],
        # Milliseconds, whose differences float32 can't represent.
        "moment": (1_580_000_000_000 + RANDOM.integers(0, 5000, ROWS)).astype(str),
        "price": [f"{price:,.2f}" for price in RANDOM.uniform(10, 5000, ROWS)],
        "colour": RANDOM.choice(["red", "green", "blue", "?"], ROWS),
        "zip": RANDOM.choice(["007", "12", "30"], ROWS),
        "member": RANDOM.choice(["true", "false"], ROWS),
        "day": pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d"),
        "weight": [f"{value:.3f}" if value > -1.5 else "" for value in RANDOM.normal(size=ROWS)],
    }
)
OPTIONS = ["data=csv", "data.thousands=','", "data.categorical=[zip]", "data.missing=impute"]


@dataclass(frozen=True)
class LoggedRun:
    """A trained run whose model is in a store."""

    directory: Path
    run: Run
    place: str
    model: Any

    @property
    def record(self) -> RunRecord:
        """The content of its run.json."""
        return self.run.record

    def served(self, content_type: str, content: str) -> pd.DataFrame:
        """Returns the predictions in the answer of MLflow's scoring server."""
        from mlflow.pyfunc import scoring_server

        invocations: Any = scoring_server.invocations
        schema = self.model.metadata.get_input_schema()
        answer = invocations(content, content_type, self.model, schema)
        return pd.DataFrame(json.loads(answer.response)["predictions"])


Log = Callable[[str], LoggedRun]
Predict = Callable[[LoggedRun, Path], pd.DataFrame]


def csv(folder: Path, target: Any) -> list[str]:
    TABLE.assign(target=target).to_csv(folder / "table.csv", index=False)
    return [*OPTIONS, f"data.path={folder / 'table.csv'}", "data.target=target"]


def table(folder: Path) -> list[str]:
    return csv(folder, np.where(TABLE["colour"] == "red", "yes", "no"))


def values(folder: Path) -> list[str]:
    return [*csv(folder, TABLE["age"].astype(float) * 1.5), "loss=mse", "metric=[mae]"]


def of_source(name: str) -> Callable[[Path], list[str]]:
    return lambda folder: [f"data={name}", *(FILES[name](folder) if name in FILES else ())]


TABLES = ("table", "values", "scores")
RUNS: dict[str, Callable[[Path], list[str]]] = {
    "table": table,
    "values": values,
    "scores": lambda folder: [*table(folder), "loss=hinge"],
    **{name: of_source(name) for name in ("mnist", "cifar10", "npz", "image_folder", "tfds")},
    **{name: of_source(name) for name in ("iris", "digits")},
    "linear": lambda _: ["data=linear", "loss=mse", "metric=[mae]"],
    "autoencoder": lambda _: ["experiment=autoencoder", "model.units=[8]"],
    "gan": lambda _: ["experiment=gan"],
}


def place_of(run: Run) -> str:
    """Returns the URI of a run's model in the store."""
    ids = run.record.mlflow
    assert ids is not None
    (model,) = client_of(store_uri(run.output_dir)).search_logged_models(
        [ids.experiment_id], f"source_run_id = '{ids.run_id}'"
    )
    return str(model.artifact_location)


@pytest.fixture(scope="module")
def log(train_here: Any, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Returns a function that trains a kind of run and mirrors it, once per kind."""
    store = tmp_path_factory.mktemp("store")
    client_of(store_uri(store)).search_experiments()

    @cache
    def log(name: str) -> LoggedRun:
        import mlflow

        from expt.record.mlflow.run_mirror import RunMirror

        folder, data = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("data")
        model = [] if name in ("autoencoder", "gan") else ["model=linear"]
        trained = train_here([*RUNS[name](data), *model, "loop.steps=2"], folder)
        config = trained.directory / CONFIG_FILE
        config.parent.mkdir()
        config.write_text(yaml.safe_dump(trained.job.config.to_mapping()))
        run = Run(
            trained.directory,
            store,
            trained.job.config.to_mapping(),
            {},
            trained.record.updated({"id": name}),
        )
        end(run)
        RunMirror(run, True, lambda _seconds: None).finish()
        place = place_of(run)
        return LoggedRun(trained.directory, run, place, mlflow.pyfunc.load_model(place))

    return log


@pytest.fixture(scope="module")
def predict(run_here: Any) -> Predict:
    """Returns a function that runs `expt.predict`."""

    def predict(logged: LoggedRun, inputs: Path) -> pd.DataFrame:
        outputs = inputs.with_name(f"{inputs.name}-predicted.csv")
        done = run_here(
            str(logged.directory),
            str(inputs),
            str(outputs),
            folder=inputs.parent,
            command="predict",
        )
        assert done.code == 0, done.error
        read = pd.read_csv(outputs, dtype={"class": str})
        return read.drop(columns=["line"], errors="ignore")

    return predict


def copied(logged: LoggedRun, directory: Path, without: str = "") -> Run:
    """Mirrors a run that has the record of another run and the model in a directory."""
    from expt.record.mlflow.run_mirror import RunMirror

    others = ("mlflow", "id", without)
    record = {key: value for key, value in logged.record.to_mapping().items() if key not in others}
    record["run_name"] = directory.name
    run = Run(directory, logged.run.output_dir, {"name": "copies"}, {}, RunRecord.of(record))
    RunMirror(run, True, lambda _seconds: None).finish()
    return run


def assert_same(given: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        given.reset_index(drop=True), expected, check_dtype=False, rtol=1e-5, atol=1e-5
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return loaded


@pytest.mark.parametrize("name", TABLES)
def test_served_table_has_the_same_predictions_as_predict(
    name: str, log: Log, predict: Predict, tmp_path: Path
) -> None:
    logged, path = log(name), tmp_path / "rows.csv"
    TABLE.to_csv(path, index=False)
    expected = predict(logged, path)
    assert len(expected) == ROWS
    texts = TABLE[TABLE.columns[::-1]].set_axis(np.arange(ROWS) * 3 + 1)
    assert_same(logged.model.predict(texts), expected)
    typed = pd.read_csv(path).assign(extra=1)[["extra", *TABLE.columns[::-1]]]
    assert [typed[c].dtype.kind for c in ("age", "zip", "member", "weight")] == ["i", "i", "b", "f"]
    assert_same(logged.model.predict(typed), expected)
    assert_same(logged.model.predict(typed.sample(frac=1, random_state=0)).sort_index(), expected)
    split = {key: json.loads(typed.to_json(orient="split"))[key] for key in ("columns", "data")}
    columns = {c: [None if pd.isna(v) else v for v in typed[c].tolist()] for c in TABLE}
    for content in (
        {"dataframe_split": split},
        {"dataframe_records": records(typed)},
        {"instances": records(typed)},
        {"inputs": columns},
        {"inputs": TABLE.to_dict("list")},
    ):
        assert_same(logged.served("application/json", json.dumps(content)), expected)


def test_signature_and_example_of_a_table_name_its_columns(log: Log) -> None:
    signature = log("table").model.metadata.signature
    assert signature.inputs.input_names() == list(TABLE.columns)
    outputs = {column.name: column.type.name for column in signature.outputs.inputs}
    assert outputs == {"target": "string", "probability no": "float", "probability yes": "float"}
    names = [column.name for column in log("scores").model.metadata.signature.outputs.inputs]
    assert names == ["target", "score no", "score yes"]
    (value,) = log("values").model.metadata.signature.outputs.inputs
    assert (value.name, value.type.name) == ("target", "double")
    example = log("table").model.input_example
    assert list(example.columns) == list(TABLE.columns)
    assert example["share"][0].endswith("%")
    assert len(log("table").model.predict(example)) == 1


def test_unknown_categories_are_handled_as_by_predict(
    log: Log, predict: Predict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import MlflowException

    frame = TABLE.assign(colour=["red", *["violet"] * (ROWS - 1)])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with caplog.at_level(logging.WARNING):
        given = log("table").model.predict(frame)
    assert f"'colour' has {ROWS - 1} of {ROWS} values that did not occur in training" in caplog.text
    assert_same(given, predict(log("table"), tmp_path / "rows.csv"))
    with pytest.raises(MlflowException, match="'colour' has no value that occurred in training"):
        log("table").model.predict(frame[1:])
    with pytest.raises(MlflowException, match=r"'share' has '50' on row 1, where numbers in %"):
        log("table").model.predict(TABLE.assign(share=50))
    with pytest.raises(MlflowException, match=r"Model is missing inputs \['day'\]"):
        log("table").model.predict(TABLE.drop(columns="day"))


def raw_inputs(record: RunRecord, count: int = 5) -> NDArray[Any]:
    """Returns random values like those of the training data before any preparation."""
    data, shape = record.data, (count, *(size or 0 for size in record.model_input_shape or ()))
    preparation = data.preparation or {}
    if (divisor := preparation.get("divisor", 1)) != 1 and shape[1:] == tuple(data.input_shape):
        return RANDOM.integers(0, divisor, shape, endpoint=True).astype(np.uint8)
    scale = data.input_scale or ScaleOfData(mean=[0.0], deviation=[1.0])
    values = np.asarray(scale.mean) + np.asarray(scale.deviation) * RANDOM.normal(size=shape)
    return values.astype(np.float32)


@pytest.mark.parametrize("name", [name for name in RUNS if name not in TABLES])
def test_served_arrays_have_the_same_predictions_as_predict(
    name: str, log: Log, predict: Predict, tmp_path: Path
) -> None:
    logged = log(name)
    raw = raw_inputs(logged.record)
    np.save(tmp_path / "raw.npy", raw)
    expected = predict(logged, tmp_path / "raw.npy")
    for given in (raw, raw.astype(np.float64), raw.astype(np.float32)):
        predicted = logged.model.predict(given)
        if isinstance(predicted, pd.DataFrame):
            assert_same(predicted, expected)
        else:
            np.testing.assert_allclose(
                predicted.reshape(len(raw), -1), expected.to_numpy(), rtol=1e-5, atol=1e-5
            )
    if isinstance(predicted, pd.DataFrame):
        content = json.dumps({"inputs": raw.tolist()})
        assert_same(logged.served("application/json", content), expected)


@pytest.mark.parametrize("name", ["iris", "npz", "linear"])
def test_vectors_can_be_served_from_tables(
    name: str, log: Log, predict: Predict, tmp_path: Path
) -> None:
    logged = log(name)
    raw = raw_inputs(logged.record)
    np.save(tmp_path / "raw.npy", raw)
    expected = predict(logged, tmp_path / "raw.npy")
    frame = pd.DataFrame(raw, columns=logged.record.data.feature_names or None)
    assert_same(logged.served("text/csv", frame.to_csv(index=False)), expected)
    if name == "iris":
        assert_same(logged.model.predict(frame[frame.columns[::-1]].assign(more=0)), expected)


def test_keras_flavor_can_be_loaded(log: Log) -> None:
    import mlflow.keras

    logged = log("iris")
    raw = raw_inputs(logged.record)
    outputs = np.asarray(mlflow.keras.load_model(logged.place)(raw, training=False))
    np.testing.assert_allclose(outputs, logged.model.predict(raw).iloc[:, 1:], rtol=1e-5)


def test_run_of_an_earlier_version_has_only_the_model(log: Log, tmp_path: Path) -> None:
    import mlflow

    shutil.copyfile(log("iris").directory / "model.keras", tmp_path / "model.keras")
    run = copied(log("iris"), tmp_path, without="model_outputs")
    model = mlflow.pyfunc.load_model(place_of(run))
    assert model.metadata.flavors["python_function"]["loader_module"] == "mlflow.keras"
    (spec,) = model.metadata.signature.inputs.inputs
    assert spec.shape == (-1, 4)
    assert model.predict(raw_inputs(run.record).astype(spec.type)).shape == (5, 3)


def test_error_names_missing_modules_that_define_layers(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import mlflow
    from mlflow.exceptions import MlflowException

    (tmp_path / "layers_of_mine.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Same(keras.layers.Layer):\n"
        "    def call(self, inputs):\n"
        "        return inputs\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        mine = importlib.import_module("layers_of_mine")
        layers = [keras.Input((4,)), mine.Same(), keras.layers.Dense(3)]
        keras.Sequential(layers).save(tmp_path / "model.keras")
        run = copied(log("iris"), tmp_path)
        place = place_of(run)
        sys.modules.pop("layers_of_mine")
        assert len(mlflow.pyfunc.load_model(place).predict(raw_inputs(run.record))) == 5
        assert "layers_of_mine" in sys.modules
        sys.modules.pop("layers_of_mine")
    with pytest.raises(MlflowException, match="are defined in layers_of_mine, which is not inst"):
        mlflow.pyfunc.load_model(place)


def test_mlflow_serves_the_model_without_expt(log: Log, predict: Predict, tmp_path: Path) -> None:
    """A file `expt.py` that raises stands for a machine without expt."""
    logged, path = log("table"), tmp_path / "rows.csv"
    uri = f"runs:/{id_of(logged.run)}/model"
    TABLE[TABLE.columns[::-1]].to_csv(path, index=False)
    expected = predict(logged, path)
    typed = tmp_path / "rows.json"
    typed.write_text(json.dumps({"dataframe_records": records(pd.read_csv(path))}))
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "expt.py").write_text("raise ImportError('expt is not installed')")
    environment = {
        "PYTHONPATH": str(tmp_path / "without"),
        "MLFLOW_TRACKING_URI": store_uri(logged.run.output_dir),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for file, kind in ((path, "csv"), (typed, "json")):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mlflow", "models", "predict", "--env-manager", "local"),
                *("-m", uri, "-i", str(file), "-t", kind, "-o", str(tmp_path / kind)),
            ],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        predictions = json.loads((tmp_path / kind).read_text())["predictions"]
        assert_same(pd.DataFrame(predictions), expected)
