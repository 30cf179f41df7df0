"""The link function is the last layer of a saved model, and can be removed again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from expt.parts.data.scale import Scale
from expt.parts.models.links import get_link, has_link, link_function, with_link, without_link
from expt.parts.models.standardization import get_scales, in_single_precision, with_standardization

Array = NDArray[Any]
X = np.array([[-30.0, 2.0, 0.5], [40.0, 39.0, -1.0]], np.float32)
LINKS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda z: z,
    "softmax": lambda z: (
        np.exp(z - z.max(1, keepdims=True))
        / np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)
    ),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.logaddexp(0, z),
}


def identity(dtype: str | None = None) -> keras.Model:
    layer = keras.layers.Activation("linear", dtype=dtype)
    return keras.Sequential([keras.Input((3,)), layer])


@pytest.mark.parametrize("link", LINKS)
def test_saved_model_returns_predictions_and_its_network_outputs(
    link: str | None, tmp_path: Path
) -> None:
    network = identity()
    with_link(network, link).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    expected = LINKS[link](X.astype(np.float64))
    np.testing.assert_allclose(model(X), expected, rtol=2e-6, atol=1e-12)
    np.testing.assert_allclose(link_function(link)(X), expected, rtol=2e-6, atol=1e-12)
    np.testing.assert_array_equal(without_link(model)(X), X)
    assert (has_link(model), get_link(model)) == (link is not None, link)


def test_network_without_a_link_is_unchanged() -> None:
    network = identity()
    assert with_link(network, None) is network
    assert without_link(network) is network


def test_link_shares_the_weights_of_the_network() -> None:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model = with_link(network, "sigmoid")
    assert without_link(model) is network
    network.layers[-1].bias.assign([0.0, 100.0])
    assert float(model(np.zeros((1, 3)))[0, 1]) == 1.0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("link", LINKS)
def test_predictions_of_mixed_precision_are_float32(policy: str, link: str | None) -> None:
    network = identity(policy)
    model = with_link(network, link)
    outputs = np.asarray(network(X)).astype(np.float64)
    assert (model.outputs[0].dtype, model(X).dtype) == ("float32", "float32")
    np.testing.assert_allclose(model(X), LINKS[link](outputs), rtol=2e-6)
    assert without_link(model) is network
    assert get_link(model) == link


def test_predictions_in_float64_keep_their_digits() -> None:
    network = with_standardization(identity(), None, Scale(np.full(3, 1e9), np.ones(3)))
    predictions = with_link(network, "softplus")(X).numpy()
    np.testing.assert_array_equal(predictions, 1e9 + X.astype(np.float64))


def test_scales_are_found_below_a_link_and_become_float32() -> None:
    scale = Scale(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    model = with_link(with_standardization(identity(), scale, None), "softmax")
    of_inputs, of_outputs = get_scales(model)
    assert of_inputs is not None
    assert of_outputs is None
    np.testing.assert_array_equal(of_inputs.mean, scale.mean)
    single = in_single_precision(model)
    assert single.inputs[0].dtype == "float32"
    np.testing.assert_allclose(single(X), model(X), rtol=1e-5, atol=1e-9)


def test_custom_softmax_layer_is_no_link() -> None:
    layers = keras.layers
    own = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Softmax(name="link")])
    assert not has_link(own)
    assert without_link(own) is own
