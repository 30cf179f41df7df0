"""The kernels of hidden layers before training, in every model."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from expt.parts.models.adversarial import gan
from expt.parts.models.autoencoder import autoencoder
from expt.parts.models.convolutional import cnn
from expt.parts.models.dense import mlp
from expt.parts.models.residual import resnet
from expt.parts.models.transformer import vit
from parts.models.model_helpers import Act, layers

IMAGE = (16, 16, 1)
WEIGHTED = (keras.layers.Dense, keras.layers.Conv2D)
Build = Callable[..., Any]


def generator(*arguments: Any, **options: Any) -> Any:
    return gan(*arguments, **options).generator


def discriminator(*arguments: Any, **options: Any) -> Any:
    return gan(*arguments, **options).discriminator


UNITS: dict[str, Any] = {"generator_units": [100, 100, 100], "discriminator_units": [100] * 3}
BUILDERS: dict[str, Build] = {
    "mlp": functools.partial(mlp, units=[100, 100, 100], residual=True),
    "cnn": functools.partial(cnn, filters=[32, 32, 32], units=[100, 100, 100]),
    "resnet": functools.partial(resnet, depth=14),
    "vit": functools.partial(vit, depth=2),
    "autoencoder": functools.partial(autoencoder, units=[100, 100, 100], latent=100),
    "generator": functools.partial(generator, **UNITS),
    "discriminator": functools.partial(discriminator, **UNITS),
}


def hidden_kernels(model: keras.Model) -> list[Any]:
    """The kernels of the layers that an activation follows."""
    *found, _ = weighted = layers(model, WEIGHTED)
    if model.name == "mlp":
        found = [layer for layer in weighted[:-1] if layer.use_bias]  # not the shortcuts'
    elif model.name == "vit":
        found = found[::2]
    elif model.name == "autoencoder":
        found = [layer for layer in found if layer.name != "latent"]
    return [layer.kernel.numpy() for layer in found]


def expected_std(initializer: str, shape: tuple[int, ...]) -> float:
    """K. He et al., 2015, equation 10; Y. LeCun et al., 1998; X. Glorot and Y. Bengio, 2010."""
    window = np.prod(shape[:-2])
    fan_in, fan_out = window * shape[-2], window * shape[-1]
    variances = {
        "he_normal": 2 / fan_in,
        "lecun_normal": 1 / fan_in,
        "glorot_uniform": 2 / (fan_in + fan_out),
    }
    return float(np.sqrt(variances[initializer]))


@pytest.mark.parametrize("initializer", ["he_normal", "lecun_normal", "glorot_uniform"])
@pytest.mark.parametrize("name", BUILDERS)
def test_initializer_suits_the_activation(name: str, initializer: str) -> None:
    act = Act(keras.layers.ReLU, initializer)
    kernels = hidden_kernels(BUILDERS[name](IMAGE, 10, act))
    assert kernels
    for kernel in kernels:
        if kernel.size > 2000:  # of fewer the standard deviation is not known well
            suiting = "he_normal" if name == "discriminator" else initializer
            expected = expected_std(suiting, kernel.shape)
            assert kernel.std() == pytest.approx(expected, rel=0.07), kernel.shape
            # A truncated normal distribution, or a uniform one.
            widest = 3**0.5 if suiting == "glorot_uniform" else 2 / 0.8796
            assert np.abs(kernel).max() == pytest.approx(widest * expected, rel=0.03)


def test_activation_without_initializer_gets_glorot_uniform() -> None:
    kernel = hidden_kernels(BUILDERS["vit"](IMAGE, 10, keras.layers.ReLU))[0]
    assert kernel.std() == pytest.approx(expected_std("glorot_uniform", kernel.shape), rel=0.05)


@pytest.mark.parametrize("initializer", ["ones", "Ones", keras.initializers.Constant(1.0)])
@pytest.mark.parametrize("name", BUILDERS)
def test_given_initializer_applies_to_hidden_layers_only(name: str, initializer: Any) -> None:
    model = BUILDERS[name](IMAGE, 10, Act(keras.layers.ReLU, "he_normal"), initializer=initializer)
    hidden = hidden_kernels(model)
    assert all((kernel == 1).all() for kernel in hidden)
    kernels = [layer.kernel.numpy() for layer in layers(model, WEIGHTED)]
    assert sum(bool((kernel == 1).all()) for kernel in kernels) == len(hidden)
    # The output layer keeps the default of Keras.
    expected = expected_std("glorot_uniform", kernels[-1].shape)
    assert kernels[-1].std() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(
    "initializer",
    [None, "he_uniform", keras.initializers.HeNormal()],
    ids=["act", "name", "object"],
)
@pytest.mark.parametrize("name", BUILDERS)
def test_kernels_of_equal_shape_differ(name: str, initializer: Any) -> None:
    act = Act(keras.layers.ReLU, "he_normal")
    kernels = hidden_kernels(BUILDERS[name](IMAGE, 10, act, initializer=initializer))
    equal_shapes = [
        (one, other)
        for number, one in enumerate(kernels)
        for other in kernels[:number]
        if one.shape == other.shape
    ]
    assert equal_shapes
    for one, other in equal_shapes:
        assert np.abs(one - other).max() > 1e-3


def test_values_depend_on_the_seed_alone() -> None:
    def first(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        return hidden_kernels(BUILDERS["mlp"](IMAGE, 10, Act(keras.layers.ReLU, "he_normal")))[0]

    np.testing.assert_array_equal(first(0), first(0))
    assert np.abs(first(0) - first(1)).max() > 1e-3
