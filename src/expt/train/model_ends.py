"""Checks of a model's ends: it maps one tensor of numbers to one, in the shapes of the data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.backend import reason_of

_TRIED = 64  # examples whose inputs are looked at
_MOST_SHAPES = 4
_TEXT_LAYERS = (keras.layers.TextVectorization, keras.layers.StringLookup)


def built(model: keras.Model, input_shape: Sequence[int]) -> keras.Model:
    """Returns a model with its variables and shapes, whichever way it was written.

    Raises:
        UserError: It can't be called on one tensor of inputs.
    """
    if model.built and getattr(model, "inputs", None):
        return model
    inputs = keras.Input(input_shape, name="inputs")
    try:
        outputs = model(inputs)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"model: it can't be called on one tensor of the shape {of_batch((None, *input_shape))}"
            f", which is what a model is given: {reason_of(error)}"
        ) from error
    if outputs is None:
        raise UserError("model: its call returns None; expected the outputs, as one tensor.")
    return keras.Model(inputs, outputs)


def check_ends(model: keras.Model, dataset: Dataset, expected: Sequence[int]) -> None:
    """Checks that a model maps the data's inputs to outputs of the shape of its targets.

    Args:
        model: It has been built.
        dataset: The data.
        expected: The shape of one output.

    Raises:
        UserError: It does not.
    """
    _check_number(model, "input", of_batch((None, *dataset.input_shape)))
    _check_number(model, "output", of_batch((None, *expected)))
    _check_input(model, dataset)
    shape = model.outputs[0].shape
    if not _is_compatible(shape, (None, *expected)):
        raise UserError(
            f"model: its outputs have the shape {of_batch(shape)}; data={dataset.name} needs "
            f"{of_batch((None, *expected))}."
        )
    dtype = keras.backend.standardize_dtype(model.outputs[0].dtype)
    if "float" not in dtype:
        raise UserError(
            f"model: its outputs are of the type {dtype}, through which no gradient goes; expected "
            "floats, such as a logit for each class."
        )


def of_batch(shape: Sequence[int | None]) -> str:
    """Returns a shape as messages write it: (batch, 10)."""
    return str(("batch", *shape[1:]) if shape else ()).replace("'", "")


def _check_number(model: keras.Model, end: str, expected: str) -> None:
    """Checks that a model has one input, or output, and that it is the tensor itself."""
    tensors, structure = getattr(model, f"{end}s"), getattr(model, end, None)
    held = f" in a {type(structure).__name__}" if isinstance(structure, Mapping) else ""
    if len(tensors) > 1:
        shapes = [of_batch(tensor.shape) for tensor in tensors[:_MOST_SHAPES]]
        more = ", …" if len(tensors) > _MOST_SHAPES else ""
        has = "A model is given the examples" if end == "input" else "A run trains one output"
        raise UserError(
            f"model: it has {len(tensors)} {end}s{held}, of the shapes {', '.join(shapes)}{more}; "
            f"expected one tensor, {expected}. {has} as one tensor: leave the others out, or join "
            "them within the model."
        )
    # A Sequential that was never called has no structure.
    if isinstance(structure, Mapping | list | tuple):
        raise UserError(
            f"model: its {end} is a {type(structure).__name__} with one tensor; expected the "
            "tensor itself."
        )


def _check_input(model: keras.Model, dataset: Dataset) -> None:
    """Checks that what a model takes are numbers, of the shape and kind of the data's."""
    given = model.inputs[0]
    of_text = [layer for layer in _first_layers(model) if isinstance(layer, _TEXT_LAYERS)]
    if of_text or given.dtype == "string":
        named = [f" (its first layer is the {type(of).__name__} {of.name})" for of in of_text[:1]]
        raise UserError(
            f"model: it takes text{''.join(named)}; the inputs of data={dataset.name} are "
            "numbers. Expected a model of numbers: turn texts into numbers where the data is read, "
            "as data=csv does with columns of text, or in a data source of your own."
        )
    if not _is_compatible(_squeezed(given.shape), _squeezed((None, *dataset.input_shape))):
        raise UserError(
            f"model: it takes inputs of the shape {of_batch(given.shape)}; those of "
            f"data={dataset.name} have {of_batch((None, *dataset.input_shape))}. A builder is "
            "given that shape as input_shape."
        )
    embeds = any(isinstance(layer, keras.layers.Embedding) for layer in _first_layers(model))
    if embeds or "int" in given.dtype:
        _check_whole(
            dataset, "looks inputs up in an Embedding" if embeds else f"takes {given.dtype}"
        )


def _check_whole(dataset: Dataset, takes: str) -> None:
    """Checks that inputs are whole numbers: fractions would be cut off without a word."""
    if dataset.input_scale is not None:
        raise UserError(
            f"model: it {takes}, and data={dataset.name} is standardised before, so that its "
            "inputs are no whole numbers. Expected data.standardize=false."
        )
    inputs = dataset.train.first(_TRIED)
    fractions = inputs[inputs != np.trunc(inputs)]
    if fractions.size:
        raise UserError(
            f"model: it {takes}, and those of data={dataset.name} have fractions, such as "
            f"{fractions[0]:.6g}, which would be cut off. Expected whole numbers, or a model that "
            "computes with floats."
        )


def _first_layers(model: keras.Model) -> Iterator[Any]:
    """Yields the layers that are called on a model's input, of nested models too."""
    (given,) = model.inputs
    for layer in model.layers:
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
    """Returns a shape without a last axis of one, which Keras adds and takes off by itself."""
    return shape[:-1] if len(shape) > 2 and shape[-1] == 1 else shape
