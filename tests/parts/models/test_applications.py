from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.applications import keras_application
from parts.models.model_helpers import inputs_of, layers


def build(shape: tuple[int, ...], name: str = "MobileNetV3Small", **options: Any) -> Any:
    return keras_application(shape, 10, keras.layers.ReLU, name=name, **options)


def body_of(model: Any) -> Any:
    (body,) = layers(model, keras.Model)
    return body


@pytest.mark.parametrize(("shape", "options"), [((8, 8, 1), {"resize_to": 32}), ((32, 40, 3), {})])
def test_output_shapes(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    model = build(shape, **options)
    assert model.input_shape == (None, *shape)
    assert model(inputs_of(shape)).shape == (3, 10)
    side = options.get("resize_to")
    expected = (side, side, shape[2]) if side else shape
    assert body_of(model).input_shape == (None, *expected)
    assert len(layers(model, keras.layers.Resizing)) == (side is not None)


def test_logits_are_a_dense_layer_on_the_pooled_features() -> None:
    model = build((32, 32, 3))
    body = body_of(model)
    assert isinstance(body.layers[-1], keras.layers.GlobalAveragePooling2D)
    (head,) = layers(model, keras.layers.Dense)
    inputs = inputs_of((32, 32, 3))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(model(inputs), body(inputs) @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "scale"), [("MobileNetV3Small", 1), ("EfficientNetV2B0", 1), ("EfficientNetB0", 255)]
)
def test_pixels_reach_the_first_convolution_unchanged(name: str, scale: float) -> None:
    model = build((32, 32, 3), name)
    body = body_of(model)
    first = layers(body, keras.layers.Conv2D)[0]
    until_there = keras.Model(body.input, first.input)
    pixels = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype(np.float32)
    seen = until_there(scale * pixels).numpy()[:, :32, :32]  # padding may follow
    np.testing.assert_allclose(seen, pixels, rtol=1e-5)
    assert [layer.scale for layer in layers(model, keras.layers.Rescaling)] == (
        [] if scale == 1 else [scale]
    )


def test_momentum_applies_to_every_batch_normalization() -> None:
    def momenta(**options: Any) -> set[float]:
        body = body_of(build((32, 32, 1), **options))
        return {norm.momentum for norm in layers(body, keras.layers.BatchNormalization)}

    assert momenta() == {0.9}
    assert momenta(momentum=0.5) == {0.5}
    assert momenta(momentum=None) == {0.999}


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8, 8, 1), {}, r"at least 32x32 pixels; the data's have 8x8\. .*model\.resize_to=96"),
        ((64, 31, 3), {}, r"at least 32x32 pixels; the data's have 64x31"),
        ((70, 90, 3), {"name": "Xception"}, r"Xception needs images of at least 71x71"),
        ((74, 75, 3), {"name": "InceptionV3"}, r"InceptionV3 needs images of at least 75x75"),
        ((8, 8, 1), {"resize_to": 31}, r"model\.resize_to=31: .* at least 32x32"),
        ((8, 8, 1), {"resize_to": 0}, r"model\.resize_to=0: expected a whole number"),
        ((8, 8, 1), {"resize_to": [32, 32]}, r"model\.resize_to=\[32, 32\]"),
        (
            (32, 32, 3),
            {"name": "mobilenetv2"},
            r"Did you mean 'MobileNetV2'",
        ),
        ((32, 32, 3), {"name": "ResNet51"}, r"Did you mean 'ResNet50'"),
        ((32, 32, 3), {"name": 5}, r"model\.name=5"),
        ((32, 32, 3), {"momentum": 1.0}, r"model\.momentum=1\.0: expected a number of at least 0"),
        ((32, 32, 3), {"momentum": "slow"}, r"model\.momentum=slow"),
        ((64,), {}, r"model=keras_application needs images .* \(64,\)"),
    ],
)
def test_invalid_arguments_are_refused(
    shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build(shape, **options)
