"""The table of a model's layers."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras


def layer_table(networks: Sequence[keras.Model]) -> list[dict[str, Any]]:
    """Returns one row per layer, including those of nested models.

    A row has the keys `name`, `type`, `output_shape` (the first axis, the batch, is None) and
    `parameters`. Names start with those of the models around the layer.
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
    """Returns the output shape of a layer, or None if Keras does not know a single one."""
    # Keras raises these for a layer that is no node of a graph, or is several nodes.
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        return None
    return list(shape)
