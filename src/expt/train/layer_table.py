"""What a model is made of."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras


def layer_table(networks: Sequence[keras.Model]) -> list[dict[str, Any]]:
    """Returns a row for each layer, those of nested models too: name, type, shape, parameters.

    The shape is that of the outputs; its first axis, the batch, is None.
    """
    return [
        {
            "name": name,
            "type": type(layer).__name__,
            "output_shape": _output_shape(layer),
            "parameters": int(layer.count_params()),
        }
        for network in networks
        for name, layer in _layers(network, f"{network.name}/" if len(networks) > 1 else "")
    ]


def _layers(model: keras.Model, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def _output_shape(layer: keras.layers.Layer) -> list[int | None] | None:
    """A layer's output shape; None for a layer that is no node of a graph, or has several."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        return None
    return list(shape)
