from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.convolutional import cnn
from parts.models.model_helpers import batch_normalized, dense, inputs_of, layers, randomize


def tanh() -> Any:
    return keras.layers.Activation("tanh")


@pytest.mark.parametrize("num_outputs", [1, 10])
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (5, 9, 3)])
def test_output_shapes(shape: tuple[int, ...], num_outputs: int) -> None:
    model = cnn(shape, num_outputs, keras.layers.ReLU, filters=[2, 3], units=[6])
    assert model.input_shape == (None, *shape)
    assert model(inputs_of(shape)).shape == (3, num_outputs)


def test_cnn_is_convolutions_pooling_and_dense_layers() -> None:
    # With kernels of one pixel a convolution is a product with a matrix at each pixel.
    model = cnn([5, 4, 3], 2, tanh, filters=[4], kernel_size=1, units=[6])
    random = np.random.default_rng(1)
    shapes = [(1, 1, 3, 4), (4,), (2 * 2 * 4, 6), (6,), (6, 2), (2,)]
    kernel, bias, w1, b1, w2, b2 = weights = [random.normal(size=shape) for shape in shapes]
    model.set_weights(weights)
    inputs = inputs_of((5, 4, 3))
    stage = np.tanh(inputs @ kernel[0, 0] + bias)
    pooled = stage[:, :4].reshape(3, 2, 2, 2, 2, 4).max(axis=(2, 4))
    expected = np.tanh(pooled.reshape(3, -1) @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)


def test_normalization_precedes_each_activation() -> None:
    model = cnn([4, 4, 3], 2, tanh, filters=[4], kernel_size=1, units=[6], normalization="batch")
    randomize(model)
    (convolution,) = layers(model, keras.layers.Conv2D)
    hidden_layer, last = layers(model, keras.layers.Dense)
    of_stage, of_dense = layers(model, keras.layers.BatchNormalization)
    assert not convolution.use_bias
    assert not hidden_layer.use_bias
    inputs = inputs_of((4, 4, 3))
    stage = np.tanh(batch_normalized(inputs @ convolution.get_weights()[0][0, 0], of_stage))
    pooled = stage.reshape(3, 2, 2, 2, 2, 4).max(axis=(2, 4)).reshape(3, -1)
    hidden = np.tanh(batch_normalized(dense(pooled, hidden_layer), of_dense))
    np.testing.assert_allclose(model(inputs), dense(hidden, last), rtol=1e-4, atol=1e-5)


def test_penalty_is_on_all_kernels_and_nothing_else() -> None:
    model = cnn([8, 8, 1], 2, tanh, filters=[4, 5], units=[6], normalization="batch", l2=0.3)
    randomize(model)
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 4
    expected = 0.3 * sum((kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert cnn([8, 8, 1], 2, tanh, filters=[4]).losses == []


def test_filters_kernel_size_and_units_set_the_shapes() -> None:
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


def test_dropout_follows_each_hidden_dense_layer_if_set() -> None:
    def rates(**options: Any) -> list[float]:
        model = cnn([8, 8, 1], 10, tanh, filters=[2], units=[7, 5], **options)
        return [layer.rate for layer in layers(model, keras.layers.Dropout)]

    assert rates() == []
    assert rates(dropout=0.4) == [0.4, 0.4]


@pytest.mark.parametrize("shape", [(64,), (8, 8), (2, 8, 8, 1)])
def test_inputs_that_are_not_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="model=cnn needs images"):
        cnn(shape, 10, keras.layers.ReLU, filters=[4])


@pytest.mark.parametrize(
    ("shape", "stages"), [((8, 8, 1), 4), ((7, 28, 1), 3), ((28, 3, 3), 2), ((1, 1, 1), 1)]
)
def test_images_too_small_for_the_stages_are_refused(
    shape: tuple[int, int, int], stages: int
) -> None:
    with pytest.raises(UserError, match=r"model\.filters=.* use fewer"):
        cnn(shape, 10, keras.layers.ReLU, filters=[2] * stages)
    assert cnn(shape, 10, keras.layers.ReLU, filters=[2] * (stages - 1)).output_shape == (None, 10)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"filters": [0]}, r"model\.filters=\[0\]"),
        ({"filters": 4}, r"model\.filters=4: expected a list"),
        ({"units": [-1]}, r"model\.units=\[-1\]"),
        ({"kernel_size": 0}, r"model\.kernel_size=0: expected a whole number of at least 1"),
        ({"kernel_size": 2.5}, r"model\.kernel_size=2\.5"),
        ({"dropout": 1}, r"model\.dropout=1"),
        ({"normalization": "layer"}, r"model\.normalization=layer: Valid: batch, null"),
        ({"l2": -0.1}, r"model\.l2=-0\.1"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cnn([8, 8, 1], 2, tanh, **{"filters": [4], **option})
