"""Checks that a model maps one tensor to one tensor, in the shapes of the data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.backend import reason_of

_TRIED = 64  # the number of examples whose inputs are checked
_MOST_SHAPES = 4  # the maximum number of shapes in a message
_TEXT_LAYERS = (keras.layers.TextVectorization, keras.layers.StringLookup)


def build_model(model: keras.Model, input_shape: Sequence[int]) -> keras.Model:
    """Returns a functional model with built variables and known shapes.

    Args:
        model: A functional, sequential or subclassed model, built or not.
        input_shape: The shape of one example.

    Raises:
        UserError: The model can't be called on one tensor of inputs.
    """
    # A subclassed model has no `inputs`, even if it is built; it becomes a layer of a new model.
    if model.built and getattr(model, "inputs", None):
        return model
    inputs = keras.Input(input_shape, name="inputs")
    try:
        outputs = model(inputs)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            "model: it can't be called on one tensor of inputs, of the shape "
            f"{format_shape((None, *input_shape))}: {reason_of(error)}"
        ) from error
    if outputs is None:
        raise UserError("model: its call returns None; expected the outputs, as one tensor.")
    return keras.Model(inputs, outputs)


def check_model(model: keras.Model, dataset: Dataset, expected: Sequence[int]) -> None:
    """Checks that a model maps the inputs of a data set to outputs of the expected shape.

    Args:
        model: The model; it must be built.
        dataset: The data set.
        expected: The shape of the outputs of one example.

    Raises:
        UserError: The number, the type or the shape of its inputs or outputs is wrong.
    """
    _check_number(model, "input", format_shape((None, *dataset.input_shape)))
    _check_number(model, "output", format_shape((None, *expected)))
    _check_input(model, dataset)
    shape = model.outputs[0].shape
    if not _is_compatible(shape, (None, *expected)):
        raise UserError(
            f"model: its outputs have the shape {format_shape(shape)}; data={dataset.name} needs "
            f"{format_shape((None, *expected))}."
        )
    dtype = keras.backend.standardize_dtype(model.outputs[0].dtype)
    if "float" not in dtype:
        raise UserError(
            f"model: its outputs are of the type {dtype}, which has no gradient; expected floats, "
            "such as one logit per class."
        )


def format_shape(shape: Sequence[int | None]) -> str:
    """Formats a shape for messages, such as (batch, 10)."""
    return str(("batch", *shape[1:]) if shape else ()).replace("'", "")


def _check_number(model: keras.Model, end: str, expected: str) -> None:
    """Checks that a model has one input or output, a tensor that is not inside a container.

    Args:
        model: The model.
        end: `input` or `output`.
        expected: The expected shape, for messages.

    Raises:
        UserError: There are several, or the tensor is in a list, tuple or dict.
    """
    tensors, structure = getattr(model, f"{end}s"), getattr(model, end, None)
    held = f" in a {type(structure).__name__}" if isinstance(structure, Mapping) else ""
    if len(tensors) > 1:
        shapes = [format_shape(tensor.shape) for tensor in tensors[:_MOST_SHAPES]]
        more = ", …" if len(tensors) > _MOST_SHAPES else ""
        has = "Examples are passed to a model" if end == "input" else "A run trains one output"
        raise UserError(
            f"model: it has {len(tensors)} {end}s{held}, of the shapes {', '.join(shapes)}{more}; "
            f"expected one tensor, {expected}. {has} as one tensor: leave the others out, or join "
            "them within the model."
        )
    # `structure` is None for a Sequential that has never been called; it is one tensor then.
    if isinstance(structure, Mapping | list | tuple):
        raise UserError(
            f"model: its {end} is a {type(structure).__name__} with one tensor; expected the "
            "tensor itself."
        )


def _check_input(model: keras.Model, dataset: Dataset) -> None:
    """Checks that the model's input has the shape of the data, and its type can hold the data.

    Raises:
        UserError: It does not, or can't.
    """
    given = model.inputs[0]
    of_text = [layer for layer in _first_layers(model) if isinstance(layer, _TEXT_LAYERS)]
    if of_text or given.dtype == "string":
        named = [f" (its first layer is the {type(of).__name__} {of.name})" for of in of_text[:1]]
        raise UserError(
            f"model: it takes text{''.join(named)}; the inputs of data={dataset.name} are "
            "numbers. Expected a model of numbers: convert text to numbers where the data is read, "
            "as data=csv does with columns of text, or in a data source of your own."
        )
    if not _is_compatible(_squeezed(given.shape), _squeezed((None, *dataset.input_shape))):
        raise UserError(
            f"model: it takes inputs of the shape {format_shape(given.shape)}; those of "
            f"data={dataset.name} have {format_shape((None, *dataset.input_shape))}. A model part "
            "receives that shape as its argument input_shape."
        )
    embeds = any(isinstance(layer, keras.layers.Embedding) for layer in _first_layers(model))
    if embeds or "int" in given.dtype:
        _check_whole(
            dataset, "looks inputs up in an Embedding" if embeds else f"takes {given.dtype}"
        )


def _check_whole(dataset: Dataset, takes: str) -> None:
    """Checks that the inputs of a data set are whole numbers.

    Args:
        dataset: The data set.
        takes: The reason, for messages.

    Raises:
        UserError: They have fractions, or are standardized.
    """
    # Keras casts them to integers, which cuts off fractions without a warning.
    if dataset.input_scale is not None:
        raise UserError(
            f"model: it {takes}, but the inputs of data={dataset.name} are standardized, and no "
            "whole numbers any more. Expected data.standardize=false."
        )
    inputs = dataset.train.first(_TRIED)
    fractions = inputs[inputs != np.trunc(inputs)]
    if fractions.size:
        raise UserError(
            f"model: it {takes}, but the inputs of data={dataset.name} have fractions, such as "
            f"{fractions[0]:.6g}, which would be cut off. Expected whole numbers, or a model that "
            "computes with floats."
        )


def _first_layers(model: keras.Model) -> Iterator[Any]:
    """Yields the layers that are called on the input of a model, also inside nested models."""
    (given,) = model.inputs
    for layer in model.layers:
        # Keras has no public way to find the inputs of each call of a layer.
        called = any(t is given for node in layer._inbound_nodes for t in node.input_tensors)
        if called and isinstance(layer, keras.Model):
            if len(getattr(layer, "inputs", None) or ()) == 1:
                yield from _first_layers(layer)
        elif called and not isinstance(layer, keras.layers.InputLayer):
            yield layer


def _is_compatible(shape: Sequence[int | None], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        size is None or size == of_data for size, of_data in zip(shape, expected, strict=True)
    )


def _squeezed(shape: Sequence[int | None]) -> Sequence[int | None]:
    """Returns a shape without a last axis of size 1."""
    # Keras adds or removes such an axis by itself when a model is called.
    return shape[:-1] if len(shape) > 2 and shape[-1] == 1 else shape
