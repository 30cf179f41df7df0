import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.models.convolutional import cnn
from expt.parts.models.dense import linear, mlp

ConfPart = Callable[[str], functools.partial[Any]]

SMALL: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "mlp": functools.partial(mlp, units=[7, 5]),
    "cnn": functools.partial(cnn, filters=[2, 3], units=[6]),
}


def inputs_of(shape: tuple[int, ...], count: int = 3) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def layers(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("num_outputs", [1, 10])
@pytest.mark.parametrize(
    ("option", "shape"),
    [
        *[(name, shape) for name in ("linear", "mlp") for shape in [(10,), (8, 8, 1), (4, 5, 3)]],
        *[("cnn", shape) for shape in [(8, 8, 1), (28, 28, 1), (5, 9, 3)]],
    ],
)
def test_output_shapes(
    conf_part: ConfPart, option: str, shape: tuple[int, ...], num_outputs: int
) -> None:
    model = conf_part(f"model/{option}")(
        input_shape=shape, num_outputs=num_outputs, act=conf_part("act/relu")
    )
    assert model.name == option
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
def test_mlp_is_affine_maps_with_activations_between(conf_part: ConfPart, units: list[int]) -> None:
    model = mlp([2, 3], 2, conf_part("act/tanh"), units=units)
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


def test_cnn_is_convolutions_pooling_and_dense_layers(conf_part: ConfPart) -> None:
    # With kernels of one pixel a convolution is a product with a matrix at each pixel.
    model = cnn([5, 4, 3], 2, conf_part("act/tanh"), filters=[4], kernel_size=1, units=[6])
    random = np.random.default_rng(1)
    shapes = [(1, 1, 3, 4), (4,), (2 * 2 * 4, 6), (6,), (6, 2), (2,)]
    kernel, bias, w1, b1, w2, b2 = weights = [random.normal(size=shape) for shape in shapes]
    model.set_weights(weights)
    inputs = inputs_of((5, 4, 3))
    stage = np.tanh(inputs @ kernel[0, 0] + bias)
    pooled = stage[:, :4].reshape(3, 2, 2, 2, 2, 4).max(axis=(2, 4))
    expected = np.tanh(pooled.reshape(3, -1) @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)


def test_cnn_honours_filters_kernel_size_and_units() -> None:
    model = cnn([8, 8, 1], 10, keras.layers.ReLU, filters=[4, 5, 6], kernel_size=5, units=[9, 7])
    assert [layer.kernel.shape for layer in layers(model, keras.layers.Conv2D)] == [
        (5, 5, 1, 4),
        (5, 5, 4, 5),
        (5, 5, 5, 6),
    ]
    # Three stages leave one pixel of 8x8.
    assert [layer.kernel.shape for layer in layers(model, keras.layers.Dense)] == [
        (6, 9),
        (9, 7),
        (7, 10),
    ]
    assert len(layers(model, keras.layers.ReLU)) == 5


@pytest.mark.parametrize("shape", [(64,), (8, 8), (2, 8, 8, 1)])
def test_cnn_refuses_inputs_that_are_not_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="needs images"):
        cnn(shape, 10, keras.layers.ReLU, filters=[4])


@pytest.mark.parametrize(
    ("shape", "stages"), [((8, 8, 1), 4), ((7, 28, 1), 3), ((28, 3, 3), 2), ((1, 1, 1), 1)]
)
def test_cnn_refuses_images_too_small_for_its_stages(
    shape: tuple[int, int, int], stages: int
) -> None:
    with pytest.raises(UserError, match=r"model\.filters=.* use fewer"):
        cnn(shape, 10, keras.layers.ReLU, filters=[2] * stages)
    assert cnn(shape, 10, keras.layers.ReLU, filters=[2] * (stages - 1)).output_shape == (None, 10)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(mlp, [8, 8, 1], 10, units=[7, 5]),
        functools.partial(cnn, [8, 8, 1], 10, filters=[2], units=[7, 5]),
    ],
    ids=["mlp", "cnn"],
)
def test_dropout_follows_each_hidden_dense_layer_only_if_asked_for(
    make: Callable[..., Any],
) -> None:
    inputs = inputs_of((8, 8, 1))
    without = make(act=keras.layers.ReLU, dropout=0.0)
    assert layers(without, keras.layers.Dropout) == []
    np.testing.assert_array_equal(without(inputs, training=True), without(inputs, training=False))

    model = make(act=keras.layers.ReLU, dropout=0.4)
    assert [layer.rate for layer in layers(model, keras.layers.Dropout)] == [0.4, 0.4]
    # In evaluation nothing is dropped: the same weights give the same outputs.
    model.set_weights(without.get_weights())
    np.testing.assert_allclose(model(inputs, training=False), without(inputs), rtol=1e-6)


def test_dropout_drops_the_asked_for_fraction_in_training() -> None:
    keras.utils.set_random_seed(0)
    model = mlp([1], 1, keras.layers.ReLU, units=[1000], dropout=0.3)
    model.set_weights([np.ones((1, 1000)), np.zeros(1000), np.full((1000, 1), 1e-3), np.zeros(1)])
    dropout = layers(model, keras.layers.Dropout)[0]
    hidden = dropout(tf.ones((100, 1000)), training=True).numpy()
    assert (hidden == 0).mean() == pytest.approx(0.3, abs=0.01)
    # What is left is scaled up, so that the mean stays.
    outputs = model(np.ones((100, 1), np.float32), training=True).numpy()
    assert outputs.mean() == pytest.approx(1, abs=0.02)
    assert outputs.std() > 0


# Keras reads TensorFlow's variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("act", ["relu", "leaky_relu", "elu", "gelu"])
@pytest.mark.parametrize("name", SMALL)
def test_saves_and_loads_with_the_same_outputs(
    conf_part: ConfPart, tmp_path: Path, name: str, act: str
) -> None:
    model = SMALL[name]([8, 8, 1], 10, conf_part(f"act/{act}"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = inputs_of((8, 8, 1))
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
