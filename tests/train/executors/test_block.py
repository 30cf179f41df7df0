import tracemalloc
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split
from expt.train.executors.block import make_run_block
from expt.train.input.batch import Batch
from expt.train.input.pipeline import InputPipeline
from train.train_helpers import (
    CAPACITY,
    Training,
    assert_same_bits,
    assert_same_rows,
    make_dataset,
    small_mlp,
    streamed,
)

MODES = ["eager", "graph", "xla"]
DATA = make_dataset()
AUGMENTATION = Augmentation(flip=True, shift=1, crop=0.8, cutout=2, mixup=0.4)
IMAGES = make_dataset((6, 5, 1), augmentation=AUGMENTATION)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_compiled_blocks_equal_eager_blocks(mode: str) -> None:
    plain, compiled = Training(DATA, "eager"), Training(DATA, mode)
    expected, found = plain.run_blocks([10, 3]), compiled.run_blocks([10, 3])
    assert list(found) == list(expected) == ["loss", "accuracy", "grad_norm", "learning_rate"]
    for name, column in expected.items():
        assert column.shape == (13,)
        np.testing.assert_allclose(found[name], column, rtol=1e-4, atol=1e-5)
    for one, other in zip(compiled.state(), plain.state(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("data", "dropout"),
    [(DATA, 0.0), (DATA, 0.5), (IMAGES, 0.5), (streamed(IMAGES), 0.5)],
    ids=["plain", "dropout", "augmented", "streamed"],
)
def test_short_blocks_have_the_bits_of_a_long_block(data: Dataset, dropout: float) -> None:
    make_model = partial(small_mlp, dropout=dropout)
    whole = Training(data, make_model=make_model)
    expected = whole.run_blocks([CAPACITY])
    cut = Training(data, make_model=make_model)
    assert_same_rows(cut.run_blocks([1, 1, 5, 8, 1]), expected)
    assert_same_bits(cut, whole)


@pytest.mark.parametrize("data", [IMAGES, streamed(IMAGES)], ids=["memory", "streamed"])
def test_second_process_continues_where_the_first_ended(data: Dataset) -> None:
    make_model = partial(small_mlp, dropout=0.5)
    first = Training(data, make_model=make_model)
    first.run_blocks([7])
    state = first.state()
    expected = first.run_blocks([6])
    second = Training(data, make_model=make_model, first_step=7)
    for variable, value in zip(second.variables(), state, strict=True):
        variable.assign(value)
    assert_same_rows(second.run_blocks([6]), expected)
    assert_same_bits(second, first)


def test_dropout_differs_at_every_step() -> None:
    """The batch is the same and the learning rate is 0, so that only dropout differs."""
    training = Training(DATA, make_model=partial(small_mlp, dropout=0.5))
    training.learner.optimizers[0].learning_rate = 0.0
    losses = training.run(0, np.tile(np.arange(8, dtype=np.int32), (6, 1))).scalars["loss"]
    assert len(set(losses.tolist())) == 6


@pytest.mark.parametrize("mode", MODES)
def test_block_ends_at_the_step_whose_loss_is_not_finite(mode: str) -> None:
    def far_off(dataset: Dataset) -> Any:
        """Returns a model whose outputs overflow only for the last example."""
        inputs = keras.Input(dataset.input_shape)
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Rescaling(1e30)(inputs)))

    inputs = np.zeros((50, 4), np.float32)
    inputs[-1] = 1e38
    split = Split(inputs, np.zeros(50, np.int32))
    training = Training(make_dataset(train=split), mode, make_model=far_off)
    indices = np.zeros((7, 8), np.int32)
    indices[3, -1] = 49
    loss = training.run(0, indices).scalars["loss"]
    assert np.isfinite(loss).tolist() == [True, True, True, False]
    # The step itself is trained; those after it are not.
    assert int(training.learner.optimizers[0].iterations) == 4


@pytest.mark.parametrize("name", ["loss", "discriminator_loss"])
@pytest.mark.parametrize("mode", MODES)
def test_each_loss_that_is_not_finite_ends_a_block(name: str, mode: str) -> None:
    steps: list[int] = []
    rows = make_run_block(counting_step(steps, name), counting_pipeline(), 1, CAPACITY, mode)(
        0, np.arange(6, dtype=np.int32)[:, None]
    ).scalars
    assert rows["count"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert np.isinf(rows[name]).tolist() == [False] * 3 + [True]


@pytest.mark.parametrize("mode", MODES)
def test_other_scalars_may_be_infinite(mode: str) -> None:
    rows = make_run_block(counting_step([], "lossless"), counting_pipeline(), 1, CAPACITY, mode)(
        0, np.arange(6, dtype=np.int32)[:, None]
    ).scalars
    assert rows["count"].tolist() == list(range(6))
    assert np.isinf(rows["lossless"]).sum() == 1


@pytest.mark.parametrize("mode", MODES)
def test_loss_below_the_target_ends_a_block(mode: str) -> None:
    """At that very step, or a repeated run on a faster machine would have other results."""

    def step(batch: Batch) -> dict[str, Any]:
        return {"loss": 5.0 - batch.inputs[0]}

    run = make_run_block(step, counting_pipeline(), 1, CAPACITY, mode, target_loss=2.0)
    losses = run(0, np.arange(6, dtype=np.int32)[:, None]).scalars["loss"]
    assert losses.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0]


def counting_pipeline() -> InputPipeline:
    return InputPipeline(
        lambda indices, _: Batch(tf.cast(indices, tf.float32), indices), reads_ahead=False
    )


def counting_step(steps: list[int], infinite_at_3: str) -> Any:
    def step(batch: Batch) -> dict[str, Any]:
        steps.append(1)
        count = batch.inputs[0]
        bad = tf.where(count == 3.0, np.inf, 1.0)
        return {"count": count, "loss": tf.constant(1.0), infinite_at_3: bad}

    return step


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_block_is_traced_once_before_the_first_step(mode: str) -> None:
    training, untrained = Training(DATA, mode), Training(DATA, "eager")
    traced = training.executions
    assert traced >= 1
    # Tracing does not train.
    assert_same_bits(training, untrained)
    for length in (1, 7, CAPACITY, 2):
        training.run_blocks([length])
    assert training.executions == traced
    assert int(training.learner.optimizers[0].iterations) == 1 + 7 + CAPACITY + 2


@pytest.mark.parametrize("mode", MODES)
def test_each_step_receives_its_indices_and_number(mode: str) -> None:
    def batch(indices: tf.Tensor, number: tf.Tensor) -> Batch:
        return Batch(tf.cast(indices, tf.float32), number)

    def step(batch: Batch) -> dict[str, Any]:
        return {"loss": tf.reduce_sum(batch.inputs), "number": batch.targets}

    indices = np.array([[0, 1], [9, 9], [4, 2]], np.int32)
    run = make_run_block(step, InputPipeline(batch, reads_ahead=False), 2, CAPACITY, mode)
    for first in (0, 7):
        rows = run(first, indices).scalars
        assert rows["loss"].tolist() == [1.0, 18.0, 6.0]
        assert rows["number"].tolist() == [first, first + 1, first + 2]


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_short_block_of_large_batches_needs_little_memory(mode: str) -> None:
    run = make_run_block(counting_step([], "loss"), counting_pipeline(), 4096, 1024, mode)
    tracemalloc.start()
    try:
        run(0, np.zeros((1, 4096), np.int32))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Padded to the capacity, the indices alone would take 16 MB.
    assert peak < 1_000_000
