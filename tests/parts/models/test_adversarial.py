from dataclasses import FrozenInstanceError
from typing import Any

import keras
import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.models.adversarial import gan
from parts.models.model_helpers import Array, dense, inputs_of, layers, randomize

UNITS: dict[str, Any] = {"generator_units": [5, 4], "discriminator_units": [6, 3]}


def tanh() -> Any:
    return keras.layers.Activation("tanh")


@pytest.mark.parametrize("shape", [(10,), (8, 8, 1), (32, 32, 3)])
def test_generator_outputs_are_discriminator_inputs(shape: tuple[int, ...]) -> None:
    pair = gan(list(shape), 99, keras.layers.ReLU, latent_size=7, **UNITS)
    assert pair.latent_size == 7
    assert pair.generator.input_shape == (None, 7)
    examples = pair.generator(inputs_of((7,)))
    assert examples.shape == (3, *shape)
    assert pair.discriminator(examples).shape == (3, 1)
    with pytest.raises(FrozenInstanceError):
        pair.generator = pair.discriminator  # type: ignore[misc]


def test_generator_is_dense_layers_and_a_sigmoid() -> None:
    generator = gan([2, 3, 1], 1, tanh, latent_size=4, **UNITS).generator
    randomize(generator)
    *maps, last = layers(generator, keras.layers.Dense)
    assert [layer.units for layer in maps] == [5, 4]
    noise = 3 * inputs_of((4,))
    hidden: Array = noise.astype(np.float64)
    for layer in maps:
        hidden = np.tanh(dense(hidden, layer))
    expected = 1 / (1 + np.exp(-dense(hidden, last)))
    np.testing.assert_allclose(generator(noise), expected.reshape(3, 2, 3, 1), rtol=1e-4)


def test_discriminator_has_leaky_relus_and_one_logit() -> None:
    discriminator = gan([2, 3, 1], 1, tanh, dropout=0.5, **UNITS).discriminator
    randomize(discriminator)
    *maps, last = layers(discriminator, keras.layers.Dense)
    assert [layer.units for layer in maps] == [6, 3]
    assert [layer.rate for layer in layers(discriminator, keras.layers.Dropout)] == [0.5, 0.5]
    examples = 3 * inputs_of((2, 3, 1))
    hidden: Array = examples.reshape(3, 6).astype(np.float64)
    for layer in maps:
        hidden = dense(hidden, layer)
        assert hidden.min() < 0
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    np.testing.assert_allclose(discriminator(examples), dense(hidden, last), rtol=1e-4, atol=1e-5)


def test_only_the_discriminator_has_dropout() -> None:
    pair = gan([6], 1, tanh, dropout=0.5, **UNITS)
    assert layers(pair.generator, keras.layers.Dropout) == []
    without = gan([6], 1, tanh, **UNITS)
    assert layers(without.discriminator, keras.layers.Dropout) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"generator_units": [0]}, r"model\.generator_units=\[0\]"),
        ({"discriminator_units": 128}, r"model\.discriminator_units=128: expected a list"),
        ({"latent_size": 0}, r"model\.latent_size=0: expected a whole number of at least 1"),
        ({"latent_size": 1.5}, r"model\.latent_size=1\.5"),
        ({"dropout": 1.0}, r"model\.dropout=1\.0"),
    ],
)
def test_arguments_out_of_range_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gan([8, 8, 1], 2, tanh, **{**UNITS, **option})
