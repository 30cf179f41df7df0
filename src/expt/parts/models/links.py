"""The link function as a model's last layer.

A network in training returns the outputs that the loss expects, such as logits. A saved model ends
in the link function, so that whoever loads it gets predictions, such as probabilities.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

_LAYER = "link"


def link_function(link: str | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function that turns outputs into predictions.

    Args:
        link: A name in `keras.activations`; None leaves outputs as they are.
    """
    function: Callable[[tf.Tensor], tf.Tensor] = keras.activations.get(link or "linear")
    return function


def with_link(network: keras.Model, link: str | None) -> keras.Model:
    """Returns a model of the same layers that returns predictions, in float32 or float64.

    Args:
        network: Returns outputs as the loss expects them, such as logits.
        link: A name in `keras.activations`; None leaves outputs as they are.
    """
    (given,), (outputs,) = network.inputs, network.outputs
    dtype = "float64" if outputs.dtype == "float64" else "float32"
    if link is None and outputs.dtype == dtype:
        return network
    inputs = keras.Input(given.shape[1:], name="inputs", dtype=given.dtype)
    # With mixed precision, the outputs are float16, which has three digits.
    layer = keras.layers.Activation(link or "linear", name=_LAYER, dtype=dtype)
    return keras.Model(inputs, layer(network(inputs)), name=f"{network.name}_with_link")


def without_link(model: keras.Model) -> keras.Model:
    """Returns the network inside a model of `with_link`, or the model itself if it is not one."""
    network: keras.Model = model.layers[-2] if has_link(model) else model
    return network


def has_link(model: keras.Model) -> bool:
    """Whether a model was made by `with_link`."""
    # By names, since a loaded .keras file has no other trace of how it was made.
    layers = model.layers
    return (
        len(layers) == 3
        and layers[-1].name == _LAYER
        and model.name == f"{layers[-2].name}_with_link"
    )


def get_link(model: keras.Model) -> str | None:
    """Returns the name of a model's link function; None if it has none."""
    name = model.layers[-1].activation.__name__ if has_link(model) else "linear"
    return None if name == "linear" else str(name)
