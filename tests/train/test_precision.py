"""Tests of training with mixed precision."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest

from expt.parts.data.dataset import Dataset
from expt.parts.models.convolutional import cnn
from expt.train.backend import start_tensorflow
from train.train_helpers import Training, make_dataset, small_mlp

TABLE, IMAGES = make_dataset((6,)), make_dataset((8, 8, 1))


def small_cnn(dataset: Dataset) -> Any:
    return cnn(dataset.input_shape, 3, keras.layers.ReLU, filters=(4,), units=(8,), l2=0.01)


def adam(scale: float | None) -> Any:
    optimizer = keras.optimizers.Adam(0.02)
    if scale is None:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)


@pytest.fixture(params=[("mixed_float16", 2.0**15), ("mixed_bfloat16", None)])
def precision(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Sets a dtype policy, and yields the function that makes its optimizer."""
    policy, scale = request.param
    start_tensorflow(seed=0, precision=policy)
    yield partial(adam, scale)
    start_tensorflow(seed=0)


def test_precision_is_that_of_the_job() -> None:
    start_tensorflow(seed=0, precision="mixed_bfloat16")
    assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
    start_tensorflow(seed=0)
    assert keras.mixed_precision.dtype_policy().name == "float32"


@pytest.mark.parametrize(("data", "make_model"), [(TABLE, small_mlp), (IMAGES, small_cnn)])
def test_half_precision_training_updates_float32_weights(
    precision: Callable[[], Any], data: Dataset, make_model: Callable[[Dataset], Any]
) -> None:
    training = Training(data, make_model=make_model, optimizer=precision)
    model = training.learner.model
    assert model.layers[-1].compute_dtype in ("float16", "bfloat16")
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    before = [variable.numpy() for variable in model.trainable_variables]
    rows = training.run_blocks([10, 6])
    assert all(np.isfinite(column).all() for column in rows.values())
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), value)
    values, outputs = training.learner.make_evaluate(data.validation, "graph")()
    assert outputs.dtype == np.float32
    assert np.isfinite(list(values.values())).all()


def test_half_precision_scalars_are_close_to_float32(precision: Callable[[], Any]) -> None:
    rows = Training(TABLE, optimizer=precision).run_blocks([8])
    start_tensorflow(seed=0)
    expected = Training(TABLE, optimizer=partial(adam, None)).run_blocks([8])
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(rows[name], expected[name], rtol=0.05)
        assert not np.array_equal(rows[name], expected[name])


def test_overflow_skips_one_update_and_training_continues() -> None:
    start_tensorflow(seed=0, precision="mixed_float16")
    try:
        training = Training(TABLE, optimizer=partial(adam, 2.0**40))
        (optimizer,) = training.learner.optimizers
        before = training.learner.model.get_weights()
        rows = training.run_blocks([1])
        assert np.isfinite(rows["loss"]).all()
        assert not np.isfinite(rows["grad_norm"]).all()
        for one, other in zip(training.learner.model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, other)
        assert int(optimizer.inner_optimizer.iterations) == 0
        # Each overflow halves the scale, until the gradients fit.
        rows = training.run_blocks([16, 15])
        assert np.isfinite(rows["loss"]).all()
        assert np.isfinite(rows["grad_norm"][-1])
        assert float(optimizer.dynamic_scale) < 2.0**40
        assert 0 < int(optimizer.inner_optimizer.iterations) < 32
        assert rows["loss"][-1] < rows["loss"][0]
    finally:
        start_tensorflow(seed=0)
