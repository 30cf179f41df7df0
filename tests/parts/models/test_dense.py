import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.models.dense import linear, mlp
from parts.models.model_helpers import (
    Array,
    batch_normalized,
    dense,
    inputs_of,
    layer_normalized,
    layers,
    randomize,
)


@pytest.mark.parametrize("num_outputs", [1, 10])
@pytest.mark.parametrize("shape", [(10,), (8, 8, 1), (4, 5, 3)])
def test_any_input_shape_is_accepted(shape: tuple[int, ...], num_outputs: int) -> None:
    for model in (
        linear(shape, num_outputs, keras.layers.ReLU),
        mlp(shape, num_outputs, keras.layers.ReLU, units=[7, 5]),
    ):
        assert model.input_shape == (None, *shape)
        assert model(inputs_of(shape)).shape == (3, num_outputs)


def test_linear_is_an_affine_map_of_the_flattened_input() -> None:
    model = linear([2, 3, 1], 4, keras.layers.ReLU)
    weights, bias = np.random.default_rng(1).normal(size=(6, 4)), np.arange(-2.0, 2.0)
    model.set_weights([weights, bias])
    inputs = inputs_of((2, 3, 1))
    np.testing.assert_allclose(
        model(inputs), inputs.reshape(3, 6) @ weights + bias, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("units", [[], [4], [7, 5]])
def test_mlp_is_affine_maps_with_activations_between(units: list[int]) -> None:
    model = mlp([2, 3], 2, tanh, units=units)
    random = np.random.default_rng(1)
    widths = [6, *units, 2]
    weights = [
        random.normal(size=shape)
        for before, after in itertools.pairwise(widths)
        for shape in ((before, after), (after,))
    ]
    model.set_weights(weights)
    inputs = inputs_of((2, 3))
    hidden = inputs.reshape(3, 6)
    for number, _ in enumerate(units):
        hidden = np.tanh(hidden @ weights[2 * number] + weights[2 * number + 1])
    # The last map has no activation: its outputs are logits.
    expected = hidden @ weights[-2] + weights[-1]
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)


def tanh() -> Any:
    return keras.layers.Activation("tanh")


@pytest.mark.parametrize(
    ("normalization", "residual", "units"),
    [
        ("batch", False, [4, 5]),
        ("layer", False, [4, 5]),
        (None, True, [6, 4, 4, 5]),
        ("layer", True, [6, 4, 4, 5]),
        ("batch", True, [6, 6]),
    ],
)
def test_an_mlp_block_is_dense_norm_act_and_shortcut(
    normalization: str | None, residual: bool, units: Sequence[int]
) -> None:
    options: dict[str, Any] = {"normalization": normalization, "residual": residual}
    model = mlp([2, 3], 2, tanh, units=units, dropout=0.5, **options)
    randomize(model)
    *blocks, last = (
        layer
        for layer in layers(model, keras.layers.Dense)
        if layer.use_bias or normalization == "batch"
    )
    projections = [layer for layer in layers(model, keras.layers.Dense) if not layer.use_bias]
    norms = layers(model, keras.layers.BatchNormalization)
    norms += layers(model, keras.layers.LayerNormalization)
    assert [block.units for block in blocks] == units

    inputs = inputs_of((2, 3))
    hidden: Array = inputs.reshape(3, 6).astype(np.float64)
    for block in blocks:
        shortcut, hidden = hidden, dense(hidden, block)
        if normalization == "batch":
            hidden = batch_normalized(hidden, norms.pop(0))
        elif normalization == "layer":
            hidden = layer_normalized(hidden, norms.pop(0))
        hidden = np.tanh(hidden)
        if residual:
            if shortcut.shape != hidden.shape:
                shortcut = dense(shortcut, projections.pop(0))
            hidden = hidden + shortcut
    assert norms == []
    np.testing.assert_allclose(model(inputs), dense(hidden, last), rtol=1e-4, atol=1e-5)


def test_batch_normalization_adapts_quickly_in_training() -> None:
    model = mlp([6], 2, tanh, units=[4], normalization="batch")
    first, last = layers(model, keras.layers.Dense)
    (norm,) = layers(model, keras.layers.BatchNormalization)
    inputs = inputs_of((6,), 20)
    sums = inputs @ first.get_weights()[0]
    mean, variance = sums.mean(0), sums.var(0)

    outputs = model(inputs, training=True)
    hidden = np.tanh((sums - mean) / np.sqrt(variance + norm.epsilon))
    np.testing.assert_allclose(outputs, dense(hidden, last), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.2), (0.3, 0.4)])
def test_penalties_are_on_all_kernels_and_nothing_else(l1: float, l2: float) -> None:
    model = mlp([6], 2, tanh, units=[4, 4, 5], normalization="layer", residual=True, l1=l1, l2=l2)
    randomize(model)
    kernels = [layer.get_weights()[0] for layer in layers(model, keras.layers.Dense)]
    assert len(kernels) == 6  # three blocks, two projections, the logits
    expected = sum(l1 * np.abs(kernel).sum() + l2 * (kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert (model.losses == []) is (l1 == l2 == 0)


def test_dropout_follows_each_hidden_dense_layer_if_set() -> None:
    inputs = inputs_of((8, 8, 1))
    without = mlp([8, 8, 1], 10, keras.layers.ReLU, units=[7, 5])
    assert layers(without, keras.layers.Dropout) == []
    np.testing.assert_array_equal(without(inputs, training=True), without(inputs, training=False))

    model = mlp([8, 8, 1], 10, keras.layers.ReLU, units=[7, 5], dropout=0.4)
    assert [layer.rate for layer in layers(model, keras.layers.Dropout)] == [0.4, 0.4]
    # In inference mode nothing is dropped: the same weights give the same outputs.
    model.set_weights(without.get_weights())
    np.testing.assert_allclose(model(inputs, training=False), without(inputs), rtol=1e-6)


def test_dropout_drops_the_given_fraction_in_training() -> None:
    keras.utils.set_random_seed(0)
    model = mlp([1], 1, keras.layers.ReLU, units=[1000], dropout=0.3)
    model.set_weights([np.ones((1, 1000)), np.zeros(1000), np.full((1000, 1), 1e-3), np.zeros(1)])
    dropout = layers(model, keras.layers.Dropout)[0]
    hidden = dropout(tf.ones((100, 1000)), training=True).numpy()
    assert (hidden == 0).mean() == pytest.approx(0.3, abs=0.01)
    # The remaining activations are scaled up, so that the mean stays the same.
    outputs = model(np.ones((100, 1), np.float32), training=True).numpy()
    assert outputs.mean() == pytest.approx(1, abs=0.02)
    assert outputs.std() > 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"units": [0]}, r"model\.units=\[0\]"),
        ({"units": [8, -1]}, r"model\.units=\[8, -1\]"),
        ({"units": [1.5]}, r"model\.units=\[1\.5\]"),
        ({"units": [True]}, r"model\.units=\[True\]"),
        ({"units": 128}, r"model\.units=128: expected a list .* such as \[128, 128\]"),
        ({"dropout": 1.0}, r"model\.dropout=1\.0: expected a number of at least 0 and below 1"),
        ({"dropout": -0.1}, r"model\.dropout=-0\.1"),
        ({"dropout": float("nan")}, r"model\.dropout=nan"),
        ({"dropout": "half"}, r"model\.dropout=half"),
        ({"normalization": "bach"}, r"model\.normalization=bach: Did you mean 'batch'\?"),
        ({"normalization": 1}, r"model\.normalization=1: Valid: batch, layer, null"),
        ({"residual": "no"}, r"model\.residual=no: expected true or false"),
        ({"l1": -1}, r"model\.l1=-1: expected a number of at least 0"),
        ({"l2": float("inf")}, r"model\.l2=inf"),
        ({"l2": "0.1"}, r"model\.l2=0\.1"),
        ({"initializer": "he_norml"}, r"model\.initializer=he_norml: .* 'he_normal'"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlp([6], 2, tanh, **{"units": [4], **option})
