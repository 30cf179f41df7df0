"""Saliency, feature maps and filters against NumPy, and the images of them."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.probes.pictures import (
    Pictures,
    draw_filters,
    feature_maps,
    filters_of,
    first_layer,
    saliency,
)
from probes.subjects import RecordedMoment, make_subject

RANDOM = np.random.default_rng(0)


def test_saliency_of_a_linear_model_is_the_kernel_of_the_class() -> None:
    model = keras.Sequential(
        [keras.Input((4, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(6)]
    )
    images = RANDOM.uniform(size=(8, 4, 5, 3)).astype(np.float32)
    kernel, bias = model.get_weights()
    expected = (images.reshape(8, -1) @ kernel + bias).argmax(axis=-1)
    labels, found = saliency(model, tf.constant(images))
    np.testing.assert_array_equal(labels, expected)
    rows = np.abs(kernel.T.reshape(6, 4, 5, 3)).max(axis=-1)
    np.testing.assert_allclose(found, rows[expected], rtol=1e-6)


class Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.convolution = keras.layers.Conv2D(4, 2, strides=2)
        self.last = keras.layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.last(keras.ops.mean(self.convolution(inputs), axis=(1, 2)))


def test_feature_maps_are_the_correlations_with_the_filters() -> None:
    inner, inputs = Subclassed(), keras.Input((4, 6, 3))
    network = keras.Model(inputs, inner(keras.layers.Rescaling(2.0)(inputs)))
    images = RANDOM.uniform(size=(2, 4, 6, 3)).astype(np.float32)
    layer = first_layer(network)
    assert layer is inner.convolution
    found = feature_maps(network, layer, tf.constant(images))
    kernel = layer.kernel.numpy()
    for row, column in np.ndindex(2, 3):
        patch = 2 * images[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = np.einsum("nhwc,hwcf->nf", patch, kernel)
        np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-5, atol=1e-6)
    # The probe replaces the layer's method `call` while it runs, and must restore it.
    assert "call" not in vars(layer)
    assert network(images).shape == (2, 3)


def test_filters_of_dense_layers_have_the_shape_of_the_image() -> None:
    kernel = RANDOM.standard_normal((4 * 5 * 3, 7))
    filters = filters_of(kernel, (4, 5, 3))
    assert filters is not None
    # The response of a unit is the sum over its filter times the image.
    image = RANDOM.uniform(size=(4, 5, 3))
    np.testing.assert_allclose((filters * image).sum(axis=(1, 2, 3)), image.ravel() @ kernel)
    assert filters_of(kernel, (4, 5, 1)) is None
    assert filters_of(np.zeros((3, 3, 2, 8)), (4, 5, 1)) is None


def test_colors_of_filters_are_white_at_zero_red_above_and_blue_below() -> None:
    filters = np.zeros((3, 2, 2, 1))
    filters[1], filters[2] = 2, -2
    pixels = draw_filters(filters)
    # The centers of cells: titles are 18 pixels high, margins 6 wide, and cells 112 wide.
    middle = pixels[18 + 6 + 56]
    cells = [middle[6 + 56 + 118 * index].astype(int) for index in range(3)]
    assert cells[0].tolist() == [255, 255, 255]
    assert cells[1][0] > 200 > 100 > cells[1][2]
    assert cells[2][2] > 150 > 100 > cells[2][0]


IMAGES = {
    "mlp": ["filters", "saliency"],
    "cnn": ["filters", "feature_maps", "saliency"],
    "gan": ["discriminator_filters"],
}


@pytest.mark.parametrize("model", IMAGES)
def test_each_model_has_the_images_that_suit_it(model: str) -> None:
    given = [f"model={model}", *(["loss=binary_crossentropy"] if model == "gan" else [])]
    subject, moment = make_subject(given), RecordedMoment()
    Pictures()(moment, subject)
    assert [*moment.images] == [f"pictures/{name}" for name in IMAGES[model]]
    assert all(pixels.std() > 0 for pixels in moment.images.values())


def test_data_without_images_is_skipped_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject, probe = make_subject(["data=iris"]), Pictures()
    for step in (0, 1):
        moment = RecordedMoment(step)
        probe(moment, subject)
        assert not moment.images
    assert [record.getMessage() for record in caplog.records] == [
        "probe=[pictures] draws nothing: the inputs of data=iris are not images."
    ]
