from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.autoencoder import autoencoder
from parts.models.model_helpers import Array, dense, inputs_of, layers, randomize


def tanh() -> Any:
    return keras.layers.Activation("tanh")


@pytest.mark.parametrize("shape", [(10,), (8, 8, 1), (32, 32, 3)])
def test_outputs_have_the_shape_of_inputs(shape: tuple[int, ...]) -> None:
    model = autoencoder(list(shape), 99, keras.layers.ReLU, units=[5], latent=2)
    assert model.output_shape == model.input_shape == (None, *shape)
    assert model(inputs_of(shape)).shape == (3, *shape)


def test_encoder_and_decoder_mirror_each_other() -> None:
    model = autoencoder([2, 3, 1], 1, tanh, units=[5, 4], latent=2)
    randomize(model)
    maps = layers(model, keras.layers.Dense)
    assert [layer.units for layer in maps] == [5, 4, 2, 4, 5, 6]
    inputs = inputs_of((2, 3, 1))
    hidden: Array = inputs.reshape(3, 6).astype(np.float64)
    for number, layer in enumerate(maps):
        hidden = dense(hidden, layer)
        if number == 2:
            # The code is affine, and its layer is found by name.
            code = keras.Model(model.input, model.get_layer("latent").output)(inputs)
            np.testing.assert_allclose(code, hidden, rtol=1e-4, atol=1e-5)
        elif number < 5:
            hidden = np.tanh(hidden)
    np.testing.assert_allclose(model(inputs), hidden.reshape(3, 2, 3, 1), rtol=1e-4, atol=1e-5)


def test_autoencoder_without_hidden_layers_is_two_affine_maps() -> None:
    model = autoencoder([6], 1, tanh, units=[], latent=2)
    randomize(model)
    inputs = inputs_of((6,))
    first, second = layers(model, keras.layers.Dense)
    expected = dense(dense(inputs.astype(np.float64), first), second)
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"units": [0]}, r"model\.units=\[0\]"),
        ({"units": "128"}, r"model\.units=128: expected a list"),
        ({"latent": 0}, r"model\.latent=0: expected a whole number of at least 1"),
        ({"latent": [16]}, r"model\.latent=\[16\]"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        autoencoder([8, 8, 1], 2, tanh, **{"units": [4], "latent": 2, **option})
