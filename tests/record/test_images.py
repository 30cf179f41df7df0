from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from record_helpers import make_run

from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.preparation import ArrayPreparation, summarize
from expt.record import grids
from expt.record.images import ImageRecorder, draw_validation
from expt.record.recorder import Image, Scalars
from expt.record.scatter import predicted_against_true
from expt.runs.run import Status

RANDOM = np.random.default_rng(0)
NAMES = ("a", "b", "c")


class Reads:
    """A stream that records the indices of the examples that are read."""

    def __init__(self, array: Any) -> None:
        self._array, self.read_indices, self.fingerprint = array, list[list[int]](), "f"
        self.shape: tuple[int, ...] = array.shape

    def read(self, indices: Any) -> Any:
        self.read_indices.append(list(indices))
        return self._array[indices]

    def take(self, indices: Any) -> "Reads":
        return Reads(self._array[indices])


def make_dataset(
    shape: Sequence[int], size: int = 30, task: Any = "classification", is_stream: bool = False
) -> Dataset:
    inputs: Any = RANDOM.uniform(size=(size, *shape)).astype(np.float32)
    targets: Any = RANDOM.integers(0, 3, size).astype(np.int32)
    if task == "regression":
        targets = RANDOM.uniform(size=(size, 2)).astype(np.float32)
    split = Split(Reads(inputs) if is_stream else inputs, targets)
    names = NAMES if task == "classification" else ()
    return Dataset("toy", task, split, split, split, batch_size=1, class_names=names)


def drawn(dataset: Dataset, task: str, predictions: Any) -> dict[str, grids.Pixels]:
    images = list(draw_validation(dataset, task, "probability", 7, predictions))
    assert {image.step for image in images} <= {7}
    return {image.name: image.pixels() for image in images}


def scores(size: int = 30) -> Any:
    return RANDOM.standard_normal((size, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [3, 25, 30])
@pytest.mark.parametrize("is_stream", [False, True])
def test_images_of_classification(size: int, is_stream: bool) -> None:
    dataset, outputs = make_dataset((4, 4, 1), size, is_stream=is_stream), scores(size)
    split = dataset.validation
    inputs, targets, shown = split.first(size), split.targets, slice(0, 25)
    worst = grids.worst_mistakes(targets, outputs)
    found = drawn(dataset, "classification", outputs)
    assert list(found) == ["val/predictions", "val/mistakes", "val/confusion"]
    expected = [
        grids.prediction_grid(inputs[shown], targets[shown], outputs[shown], NAMES),
        grids.mistake_grid(
            inputs[worst], targets[worst], outputs[worst], NAMES, are_probabilities=True
        ),
        grids.confusion_matrix(targets, outputs, NAMES),
    ]
    for one, other in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_examples_are_read_only_when_they_are_drawn() -> None:
    dataset, outputs = make_dataset((4, 4, 1), is_stream=True), scores()
    # Reading a large data set before it is needed would delay training.
    stream = dataset.validation.inputs
    assert isinstance(stream, Reads)
    images = list(draw_validation(dataset, "classification", "score", 1, outputs))
    assert stream.read_indices == []
    for image in images:
        image.pixels()
    worst = grids.worst_mistakes(dataset.validation.targets, outputs)
    assert stream.read_indices == [list(range(25)), worst.tolist()]


def test_table_with_classes_has_a_confusion_matrix() -> None:
    assert list(drawn(make_dataset((4,)), "classification", scores())) == ["val/confusion"]


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3)])
def test_regression_has_a_scatter_plot(shape: tuple[int, ...]) -> None:
    dataset = make_dataset(shape, task="regression")
    predictions = RANDOM.uniform(size=(30, 2)).astype(np.float32)
    found = drawn(dataset, "regression", predictions)
    expected = predicted_against_true(dataset.validation.targets, predictions)
    assert list(found) == ["val/predicted_against_true"]
    np.testing.assert_array_equal(found["val/predicted_against_true"], expected)


@pytest.mark.parametrize("size", [3, 30])
@pytest.mark.parametrize("is_stream", [False, True])
def test_reconstructions_of_images(size: int, is_stream: bool) -> None:
    dataset = make_dataset((4, 4, 3), size, is_stream=is_stream)
    outputs = RANDOM.uniform(size=(size, 4, 4, 3)).astype(np.float32)
    found = drawn(dataset, "reconstruction", outputs)
    inputs = dataset.validation.first(25)
    assert list(found) == ["val/reconstructions"]
    np.testing.assert_array_equal(
        found["val/reconstructions"], grids.reconstruction_grid(inputs, outputs[:25])
    )


def test_reconstructions_of_a_table() -> None:
    dataset = make_dataset((4,))
    outputs = RANDOM.uniform(size=(30, 4)).astype(np.float32)
    found = drawn(dataset, "reconstruction", outputs)
    assert list(found) == ["val/predicted_against_true"]
    inputs = dataset.validation.first(25)
    expected = predicted_against_true(inputs, outputs[:25])
    np.testing.assert_array_equal(found["val/predicted_against_true"], expected)


def test_panels_have_the_names_of_columns() -> None:
    dataset = replace(
        make_dataset((4,), task="regression"),
        feature_names=("sepal length", "sepal width", "petal length", "petal width"),
        other_columns={"target": "price"},
    )
    split = replace(dataset.validation, targets=dataset.validation.targets[:, :1])
    dataset = replace(dataset, train=split, validation=split, test=split)
    outputs = RANDOM.uniform(size=(30, 4)).astype(np.float32)
    found = drawn(dataset, "reconstruction", outputs)["val/predicted_against_true"]
    inputs = dataset.validation.first(25)
    expected = predicted_against_true(inputs, outputs[:25], dataset.feature_names)
    np.testing.assert_array_equal(found, expected)
    found = drawn(dataset, "regression", outputs[:, :1])["val/predicted_against_true"]
    expected = predicted_against_true(split.targets, outputs[:, :1], ["price"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [3, 25, 30])
def test_generated_images(size: int) -> None:
    outputs = RANDOM.uniform(size=(size, 4, 4, 1)).astype(np.float32)
    found = drawn(make_dataset((4, 4, 1)), "generation", outputs)
    count = min(size, 25)
    expected = grids.image_grid(outputs[:25], [""] * count, [False] * count)
    assert list(found) == ["val/generated"]
    np.testing.assert_array_equal(found["val/generated"], expected)


def test_generated_table_has_no_image() -> None:
    assert drawn(make_dataset((4,)), "generation", np.zeros((30, 4), np.float32)) == {}


def test_integers_up_to_255_are_drawn_like_fractions() -> None:
    levels = np.rint(RANDOM.uniform(size=(30, 4, 4, 1)) * 255)
    levels.flat[:2] = 0, 255
    drawings = []
    for inputs in ((levels / 255).astype(np.float32), levels.astype(np.float32)):
        split = Split(inputs, np.arange(30, dtype=np.int32) % 3)
        preparation = ArrayPreparation(1.0, summarize(inputs)).to_mapping()
        dataset = Dataset(
            "toy",
            "classification",
            *(split, split, split),
            batch_size=1,
            class_names=NAMES,
            preparation=preparation,
        )
        drawings.append(drawn(dataset, "classification", np.eye(3, dtype=np.float32)[[0] * 30]))
    for name in drawings[0]:
        np.testing.assert_array_equal(drawings[0][name], drawings[1][name])


def test_images_are_written_as_files(tmp_path: Path) -> None:
    recorder, pixels = ImageRecorder(), RANDOM.integers(0, 255, (6, 5, 3), dtype=np.uint8)
    recorder.open(make_run(tmp_path))
    recorder.write(Image(40, 0.0, "val/predictions", lambda: pixels))
    recorder.write(Scalars.single(40, 1, {"val/loss": 1.0}))
    recorder.close(Status.FINISHED)
    (file,) = (tmp_path / "images").iterdir()
    assert file.name == "val_predictions_0000040.png"
    np.testing.assert_array_equal(np.asarray(PillowImage.open(file)), pixels)


def test_file_is_complete_or_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, image = (
        ImageRecorder(),
        Image(40, 0.0, "val/x", lambda: np.zeros((4, 4, 3), np.uint8)),
    )
    recorder.open(make_run(tmp_path))
    recorder.write(image)
    (file,) = (tmp_path / "images").iterdir()

    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_half)
        with pytest.raises(OSError, match="no space"):
            recorder.write(image)
    # The previous file is intact, and the incomplete one is removed by the next process.
    assert file.read_bytes() == image.png()
    assert len(list((tmp_path / "images").iterdir())) == 2
    recorder.open(make_run(tmp_path))
    assert list((tmp_path / "images").iterdir()) == [file]
