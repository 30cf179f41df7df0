from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from expt.errors import RunError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.images import ImageFolder
from expt.parts.data.scale import Scale
from expt.train.input.augment import augment
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch, is_streamed, make_pipeline, read_in_order
from train.train_helpers import (
    ArrayStream,
    Training,
    assert_same_bits,
    assert_same_rows,
    make_dataset,
    make_timeline,
    streamed,
    weighted,
)

DATA = weighted(make_dataset((3, 2)))
AUGMENTATION = Augmentation(flip=True, shift=1, mixup=0.4)
IMAGES = weighted(make_dataset((6, 5, 1), augmentation=AUGMENTATION))


def batches_of(dataset: Dataset, first_step: int = 0, count: int = 13) -> list[Batch]:
    """Returns the batches of two epochs of six steps, and of one further step."""
    timeline = make_timeline(dataset, total_steps=first_step + count)
    pipeline = make_pipeline(timeline, dataset, first_step)
    steps = range(first_step, first_step + count)
    return [
        pipeline.batch(tf.constant(timeline.indices(step, 1)[0]), tf.constant(step))
        for step in steps
    ]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("first_step", [0, 8])
def test_batch_has_the_examples_of_its_step(is_stream: bool, first_step: int) -> None:
    dataset = streamed(DATA, is_slow=True) if is_stream else DATA
    batches, timeline, train = batches_of(dataset, first_step), make_timeline(dataset), DATA.train
    assert isinstance(train.inputs, np.ndarray)
    assert train.weights is not None
    for step, batch in enumerate(batches, start=first_step):
        (indices,) = timeline.indices(step, 1)
        np.testing.assert_array_equal(batch.inputs, train.inputs[indices])
        np.testing.assert_array_equal(batch.targets, train.targets[indices])
        np.testing.assert_array_equal(batch.weights, train.weights[indices])
        assert batch.inputs.dtype == tf.float32
        assert batch.targets.dtype == tf.int32
        assert batch.mixed_targets is None


def test_batch_has_no_weights_if_the_data_has_none() -> None:
    (batch,) = batches_of(make_dataset(), count=1)
    assert batch.weights is None


@pytest.mark.parametrize("is_stream", [False, True])
def test_batches_are_augmented_according_to_their_step(is_stream: bool) -> None:
    plain = batches_of(weighted(make_dataset((6, 5, 1))), first_step=4, count=3)
    found = batches_of(streamed(IMAGES) if is_stream else IMAGES, first_step=4, count=3)
    for step, (batch, before) in enumerate(zip(found, plain, strict=True), start=4):
        expected = augment(before, AUGMENTATION, 3, tf.constant(step))
        for one, other in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("is_stream", [False, True])
def test_blank_pixels_are_0_after_standardization(is_stream: bool) -> None:
    scale = Scale(np.array([0.25, 0.5, 0.75]), np.array([0.1, 1.0, 10.0]))
    images = make_dataset((6, 5, 3))
    plain, with_cutout = (
        replace(images, input_scale=scale, augmentation=Augmentation(cutout=cutout))
        for cutout in (0, 3)
    )
    (before,) = batches_of(plain, count=1)
    (after,) = batches_of(streamed(with_cutout) if is_stream else with_cutout, count=1)
    # The pipeline fills with the mean of each channel, which the model maps to 0.
    changed = (after.inputs != before.inputs).numpy().any(axis=-1)
    assert changed.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(after.inputs[changed], np.tile(scale.mean, (changed.sum(), 1)))


def test_mixup_accepts_float64_inputs() -> None:
    # In float32, all of these inputs would be equal.
    split = Split(1e12 + np.arange(50.0)[:, None], np.arange(50.0)[:, None])
    scale, mixup = Scale.fit(split.first(50)), Augmentation(mixup=1.0)
    data = Dataset("x", "regression", split, split, split, 8, input_scale=scale, augmentation=mixup)
    for batch in batches_of(data, count=3):
        assert batch.inputs.dtype == batch.targets.dtype == tf.float64
        np.testing.assert_allclose(batch.inputs - 1e12, batch.targets, atol=1e-3)


def test_only_streams_read_ahead() -> None:
    timeline = make_timeline(DATA)
    assert not make_pipeline(timeline, DATA).reads_ahead
    assert make_pipeline(timeline, streamed(DATA)).reads_ahead
    assert not is_streamed(DATA.train)
    assert is_streamed(streamed(DATA).train)


@pytest.mark.parametrize("data", [DATA, IMAGES], ids=["plain", "augmented"])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_stream_and_memory_train_to_the_same_bits(data: Dataset, mode: str) -> None:
    in_memory, from_disk = Training(data, mode), Training(streamed(data, is_slow=True), mode)
    lengths = [5, 8, 3]
    assert_same_rows(from_disk.run_blocks(lengths), in_memory.run_blocks(lengths))
    assert_same_bits(from_disk, in_memory)


@pytest.mark.parametrize(
    ("how", "is_stream"),
    [
        ({}, True),
        ({"flip": True, "shift": 1, "cutout": 2}, False),
        ({"crop": 0.7, "mixup": 0.4}, False),
    ],
)
def test_xla_trains_on_the_same_batches(how: dict[str, Any], is_stream: bool) -> None:
    dataset = make_dataset((6, 5, 1), augmentation=Augmentation(**how))
    plain = Training(dataset, "graph")
    compiled = Training(streamed(dataset) if is_stream else dataset, "xla")
    expected, found = plain.run_blocks([5, 3]), compiled.run_blocks([5, 3])
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("is_stream", [False, True])
def test_first_batch_is_not_augmented(is_stream: bool) -> None:
    batch = first_batch(streamed(IMAGES) if is_stream else IMAGES)
    train = IMAGES.train
    assert isinstance(train.inputs, np.ndarray)
    assert train.weights is not None
    np.testing.assert_array_equal(batch.inputs, train.inputs[:8])
    np.testing.assert_array_equal(batch.targets, train.targets[:8])
    np.testing.assert_array_equal(batch.weights, train.weights[:8])
    assert first_batch(make_dataset()).weights is None


@pytest.mark.parametrize(("batch_size", "sizes"), [(20, [20, 20, 10]), (50, [50]), (60, [50])])
def test_split_is_read_in_order_to_its_end(batch_size: int, sizes: list[int]) -> None:
    batches = list(read_in_order(streamed(DATA, is_slow=True).train, batch_size))
    assert [len(batch) for batch in batches] == sizes
    np.testing.assert_array_equal(np.concatenate(batches), DATA.train.inputs)


class GoneStream(ArrayStream):
    def read(self, indices: Any) -> Any:
        raise RunError(f"the files of {len(indices)} examples are gone")


def test_failed_stream_raises_its_reason() -> None:
    split = Split(GoneStream(np.zeros((50, 4), np.float32)), np.zeros(50, np.int32))
    training = Training(make_dataset(train=split))
    with pytest.raises(RunError, match=r"^the files of 8 examples are gone$"):
        training.run_blocks([1])


FORMS = [
    ("png", "RGB", None),
    ("png", "L", None),
    ("png", "RGB", 1),
    ("png", "P", None),
    ("png", "LA", 3),
    ("jpg", "RGB", None),
    ("jpg", "L", 3),
    ("bmp", "RGB", None),
    ("bmp", "L", None),
    ("gif", "L", None),
]


@pytest.mark.parametrize(("extension", "mode", "channels"), FORMS)
def test_image_files_are_decoded_to_equal_pixels_everywhere(
    tmp_path: Path, extension: str, mode: str, channels: int | None
) -> None:
    """Training, evaluation and figures must use equal pixels."""
    write_images(tmp_path, extension, mode)
    dataset = ImageFolder(path=str(tmp_path), batch_size=4, channels=channels).load()
    timeline = make_timeline(dataset, total_steps=3)
    pipeline = make_pipeline(timeline, dataset)
    for step in range(3):
        (indices,) = timeline.indices(step, 1)
        batch = pipeline.batch(tf.constant(indices), tf.constant(step))
        np.testing.assert_array_equal(batch.inputs, dataset.train.read(indices))
    read = np.concatenate(list(read_in_order(dataset.train, 5)))
    np.testing.assert_array_equal(read, dataset.train.first(len(dataset.train)))


def test_images_of_other_sizes_are_resized(tmp_path: Path) -> None:
    write_images(tmp_path, "png", "RGB")
    dataset = ImageFolder(path=str(tmp_path), batch_size=4, image_size=[7, 9]).load()
    (batch,) = batches_of(dataset, count=1)
    (indices,) = make_timeline(dataset).indices(0, 1)
    np.testing.assert_array_equal(batch.inputs, dataset.train.read(indices))
    assert batch.inputs.shape == (4, 7, 9, 3)


def test_image_files_and_memory_train_to_the_same_bits(tmp_path: Path) -> None:
    write_images(tmp_path, "png", "RGB")
    from_disk = ImageFolder(
        path=str(tmp_path), batch_size=4, standardize=True, augment={"flip": True, "crop": 0.8}
    ).load()
    train = from_disk.train
    in_memory = replace(from_disk, train=Split(train.first(len(train)), train.targets))
    trainings = [
        Training(data, optimizer=lambda: keras.optimizers.SGD(0.1))
        for data in (in_memory, from_disk)
    ]
    rows = [training.run_blocks([5, 4]) for training in trainings]
    assert_same_rows(*rows)
    assert_same_bits(*trainings)


def write_images(folder: Path, extension: str, mode: str) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for index in range(12):
            colors = random.integers(0, 255, (4, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(colors).resize((10, 12), Image.Resampling.BICUBIC)
            picture.convert(mode).save(folder / name / f"{index}.{extension}")


@pytest.mark.parametrize(
    ("of_operations", "expected"), [(0, 6), (5, 2), (1, 1)], ids=["alone", "worker", "one core"]
)
def test_reading_ahead_uses_half_of_the_cores_of_the_process(
    of_operations: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tf.config.threading, "get_inter_op_parallelism_threads", lambda: of_operations
    )
    monkeypatch.setattr("expt.train.input.pipeline.usable_cores", lambda: 12)
    options: list[Any] = []

    def with_options(self: tf.data.Dataset, given: tf.data.Options) -> tf.data.Dataset:
        options.append(given)
        return self

    monkeypatch.setattr(tf.data.Dataset, "with_options", with_options)
    make_pipeline(make_timeline(DATA), streamed(DATA))
    assert [each.threading.private_threadpool_size for each in options] == [expected]
