"""Exports return the predictions that `expt.predict` writes, for every loss and kind of inputs.

Exports of different losses differ only in the layers after the network, so one loss of each kind is
exported. For all losses, the predictions of the saved model are compared with a formula in NumPy.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits

from contracts import example_data
from contracts.contract import options_of
from exports.export_helpers import FORMATS, READERS
from expt.config.compose import compose_jobs
from expt.config.declarations import TARGETS_KEY, task_of
from expt.config.location import config_directory
from expt.config.outputs import model_outputs
from expt.exports.comparison import in_float32
from expt.exports.inputs import describe_inputs
from expt.parts.models.links import with_link, without_link
from expt.prediction.inputs import read_inputs
from expt.runs.find import FoundRun, load_run
from expt.runs.records import RunRecord
from expt.train.data_loading import DataLoader
from expt.train.inference import make_predict
from expt.train.program import make_program
from expt.train.saved_model import load_predictor

Array = NDArray[Any]
Train = Callable[..., Any]


def kinds_of_losses() -> dict[tuple[str, ...], list[str]]:
    """Returns the losses of each task, by the layers that turn outputs into predictions."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for name in options_of("loss"):
        loss = yaml.safe_load((config_directory() / "loss" / f"{name}.yaml").read_text())
        for task in loss["_tasks_"]:
            given = model_outputs(loss, task)
            on_scale = task in ("regression", "reconstruction") and TARGETS_KEY not in loss
            kind = (task, str(given.link), "standardized" if on_scale else "as they are")
            kinds.setdefault(kind, []).append(name)
    return kinds


KINDS = kinds_of_losses()
FORMULAS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
}


def for_task(task: str, folder: Path) -> list[str]:
    if task == "regression":
        return [*example_data.one_hot_values(folder), "model.units=[8]"]
    if task == "reconstruction":
        return ["model=autoencoder"]
    return ["model=gan"] if task == "generation" else ["model.units=[8]"]


def made(task: str, loss: str, folder: Path, *more: str) -> tuple[keras.Model, Array, str | None]:
    """Returns the model that a run with a loss saves, inputs for it, and its link."""
    (job,), _ = compose_jobs([*for_task(task, folder), f"loss={loss}", *more], None, multirun=False)
    dataset = DataLoader()(job)
    network = make_program(job, dataset).learner.model
    link = model_outputs(job.config.loss, task_of(job, dataset.task)).link
    inputs = np.asarray(dataset.test.first(5))
    if task == "generation":
        inputs = np.random.default_rng(0).normal(size=(5, *network.input_shape[1:]))
    random = np.random.default_rng(0)  # some predictions near 0, others not
    network.set_weights([w + 0.3 * random.normal(size=w.shape) for w in network.get_weights()])
    with_link(network, link).save(folder / "model.keras")
    model = keras.saving.load_model(folder / "model.keras")
    return model, inputs.astype(model.inputs[0].dtype), link


def assert_agreeing(model: keras.Model, inputs: Array, expected: Array, folder: Path) -> None:
    """Asserts that every export of a model returns the expected predictions."""
    for name, exporter in FORMATS.items():
        exporter.write(in_float32(model), folder / name)
        found = READERS[name](folder / name)(inputs)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_exports_predict_for_every_kind_of_loss(kind: tuple[str, ...], tmp_path: Path) -> None:
    model, inputs, _ = made(kind[0], KINDS[kind][0], tmp_path)
    assert_agreeing(model, inputs, make_predict(model)(inputs), tmp_path)


@pytest.mark.parametrize(
    ("task", "loss"), [(kind[0], loss) for kind, losses in KINDS.items() for loss in losses]
)
def test_saved_model_predicts_as_its_loss_declares(task: str, loss: str, tmp_path: Path) -> None:
    model, inputs, link = made(task, loss, tmp_path)
    raw = np.asarray(without_link(model)(inputs, training=False), np.float64)
    found = make_predict(model)(inputs)
    np.testing.assert_allclose(found, FORMULAS[link](raw), rtol=1e-5, atol=1e-7)
    assert link is None or np.abs(found - raw).max() > 0.01


@pytest.mark.parametrize("link", ["softmax", "none"])
def test_predictions_of_mixed_precision_are_float32_and_exports_compute_in_it(
    link: str, tmp_path: Path
) -> None:
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        loss = {"softmax": "crossentropy", "none": "hinge"}[link]
        model, inputs, _ = made("classification", loss, tmp_path)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    predicted = make_predict(model)(inputs)
    assert predicted.dtype == np.float32
    assert np.asarray(model(inputs)).dtype == np.float32
    exact = np.asarray(in_float32(model)(inputs, training=False))
    assert 0 < np.abs(predicted - exact).max() < 0.05 * np.abs(exact).max()
    assert_agreeing(model, inputs, exact, tmp_path)


def csv(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    given, file = example_data.csv(folder), folder / "table.csv"
    table = pd.read_csv(file)

    def prepared(run: FoundRun) -> Array:
        (names,) = re.findall(
            "^the columns (.*), in this order; 1 or 0 for a=b$", describe_inputs(run.record.data)
        )
        columns = [name.partition("=") for name in names.split(", ")]
        assert [name for name, _, _ in columns] == ["size", "kind", "kind"]
        return np.stack(
            [table[a] == b if is_one else table[a] for a, is_one, b in columns], axis=1
        ).astype(np.float64)

    return ["data=csv", *given], file, prepared


def npz(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    given, file = example_data.npz(folder), folder / "arrays.npz"
    return ["data=npz", *given], file, lambda _: np.asarray(np.load(file)["x"])


def image_folder(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    given = example_data.image_folder(folder)
    files = sorted((folder / "cat").iterdir(), key=str)

    def prepared(run: FoundRun) -> Array:
        read = list(read_inputs(run, folder / "cat").about["file"])
        assert sorted(read) == [str(file) for file in files]
        return np.stack([np.asarray(Image.open(file)) / 255 for file in read])

    return ["data=image_folder", *given], folder / "cat", prepared


def digits(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    images = load_digits().images[:20]
    np.save(folder / "raw.npy", images)
    return [], folder / "raw.npy", lambda _: np.asarray(images[..., None] / 16)


def diabetes(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    table = load_diabetes(scaled=False).data[:20]
    np.save(folder / "raw.npy", table)
    given = ["data=diabetes", "loss=poisson", "optimizer.learning_rate=0.1"]
    return given, folder / "raw.npy", lambda _: np.asarray(table)


def idx(folder: Path) -> tuple[list[str], Path, Callable[[FoundRun], Array]]:
    given = example_data.mnist(folder)
    images = np.load(folder / "mnist.npz")["x_test"]
    np.save(folder / "raw.npy", images)
    return ["data=mnist", *given], folder / "raw.npy", lambda _: images[..., None] / 255


@pytest.mark.parametrize("source", [csv, npz, image_folder, digits, diabetes, idx])
def test_exports_predict_for_raw_inputs_of_every_kind(
    train_here: Train, tmp_path: Path, source: Callable[..., Any]
) -> None:
    (folder := tmp_path / "files").mkdir()
    given, file, prepared = source(folder)
    trained = train_here([*given, "loop.steps=2", "model.units=[8]"], tmp_path)
    run = load_run(trained.directory, tmp_path)
    model = load_predictor(run.model_file, run, trained.job)
    expected = predicted(model, run, file)
    inputs = prepared(run).astype(model.inputs[0].dtype)
    assert_agreeing(model, inputs, expected, tmp_path)


def predicted(model: keras.Model, run: FoundRun, file: Path) -> Array:
    """Returns the predictions that `expt.predict` writes."""
    predict = make_predict(model)
    return np.concatenate([predict(batch) for batch in read_inputs(run, file).batches])


@pytest.mark.parametrize(
    "given",
    [
        ["loss=binary_crossentropy"],
        ["loss=hinge", "loop.precision=mixed_bfloat16"],
        ["data=diabetes", "loss=poisson"],
        ["data=diabetes", "loss=mse"],
    ],
    ids=" ".join,
)
def test_run_of_a_previous_version_predicts_the_same(
    train_here: Train, tmp_path: Path, given: Sequence[str]
) -> None:
    """Its run.json has no `model_outputs`, and its config no link."""
    trained = train_here([*given, "loop.steps=2", "model.units=[8]"], tmp_path)
    run = load_run(trained.directory, tmp_path)
    model = load_predictor(run.model_file, run, trained.job)
    inputs = trained.dataset.test.first(7)
    expected = make_predict(model)(inputs)
    without_link(model).save(run.directory / "model.keras")
    values = run.record.to_mapping()
    del values["model_outputs"]
    run = replace(run, record=RunRecord.of(values))
    for key in ("_predicts_", "_probabilities_"):
        trained.job.config.loss.pop(key, None)
    older = load_predictor(run.model_file, run, trained.job)
    np.testing.assert_array_equal(make_predict(older)(inputs), expected)
