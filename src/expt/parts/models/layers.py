"""What several models are built of."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


def dense_layers(
    hidden: Any, act: Callable[[], keras.layers.Layer], units: Sequence[int], dropout: float
) -> Any:
    """Adds a dense layer, an activation and, if asked for, dropout for each width.

    Args:
        hidden: Keras tensor of shape [batch, features].
        act: Makes an activation layer; called once a layer.
        units: Widths of the layers.
        dropout: The fraction of each layer's activations dropped in training.

    Returns:
        Keras tensor of shape [batch, units[-1]].
    """
    for width in units:
        hidden = act()(keras.layers.Dense(width)(hidden))
        if dropout > 0:
            hidden = keras.layers.Dropout(dropout)(hidden)
    return hidden
