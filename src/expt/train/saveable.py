"""Checks before training that a model can be saved and loaded again.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.config.instantiate import targets
from expt.config.job import Job
from expt.errors import UserError
from expt.train.objective import outputs_of
from expt.train.saved_model import load_model

_OWN = ("expt.", "keras.")
_REMEDY = (
    "A model file holds the names of classes and the results of their get_config. Define the class "
    "or function at the top level of a module, decorate it with "
    "@keras.saving.register_keras_serializable(), pass the **kwargs of its __init__ to the base "
    "class, and return all arguments of __init__ from get_config."
)
_LAMBDA_REMEDY = (
    "Define a function at the top level of a module, or a keras.layers.Layer, and decorate it with "
    "@keras.saving.register_keras_serializable()."
)
_LONGEST = 300  # the maximum length of a reason, in characters
_TOLERANCE = 1e-5  # relative to the largest output


def check_saveable(model: keras.Model, job: Job, inputs: Any) -> None:
    """Saves a model to a temporary file, loads it as `expt.evaluate` does, and compares the two.

    Models without any code of the user's own are not checked. The model is unchanged at the end.

    Args:
        model: The model; it must be built.
        job: The job, with its frozen config.
        inputs: Some examples, shape [batch, ...]. If the model takes inputs of another shape, as
            a generator does, noise is used instead.

    Raises:
        UserError: The model can't be saved or loaded, or the loaded model differs from it.
    """
    # Keras' own layers can be saved, and the check takes about as long as building the model.
    if not _has_users_code(job):
        return
    with (
        tempfile.TemporaryDirectory(prefix="expt-model-") as folder,
        _preserving_random_states(),
        _perturbed_weights(model),
        _without_local_classes(),
    ):
        file = Path(folder) / "model.keras"
        try:
            model.save(file)
        # Any exception: Keras does not wrap those that a layer raises.
        except Exception as error:
            reason = _reason(model, str(error))
            raise UserError(f"model: it can't be saved: {reason}") from error
        try:
            loaded = load_model(file, job)
        except UserError as error:
            text = str(error).removeprefix(f"{file} can't be loaded: ")
            # A class that is not on the allow-list is a complete reason.
            if "allowed" not in text:
                text = _reason(model, text)
            raise UserError(f"model: once saved, it can't be loaded: {text}") from error
        _compare(model, loaded, inputs)


def _has_users_code(job: Job) -> bool:
    return any(
        not target.startswith(_OWN)
        for group in ("model", "act")
        for _, target in targets(getattr(job.config, group), group)
    )


def _compare(model: keras.Model, loaded: keras.Model, inputs: Any) -> None:
    """Compares the weights of two models, and their outputs.

    Raises:
        UserError: They differ.
    """
    ours, theirs = _weights(model), _weights(loaded)
    for (path, here), (_, there) in zip(ours, theirs, strict=False):
        if here.shape != there.shape or not np.array_equal(here, there, equal_nan=True):
            raise UserError(f"model: once saved and loaded, its weights {path} differ. {_REMEDY}")
    if len(ours) != len(theirs):
        raise UserError(
            f"model: once saved and loaded, it has {len(theirs)} weights; expected {len(ours)}. "
            f"{_REMEDY}"
        )
    # Twice with the same model: outputs that are random in evaluation too can't be compared.
    given = _inputs_for(model, inputs)
    first, again, other = (
        np.asarray(outputs_of(network, given, training=False)) for network in (model, model, loaded)
    )
    if np.array_equal(first, again, equal_nan=True) and not _is_close(first, other):
        where = _differing_layer(model, loaded)
        raise UserError(f"model: once saved and loaded, it returns other outputs{where}. {_REMEDY}")


def _weights(model: keras.Model) -> list[tuple[str, NDArray[Any]]]:
    return [(variable.path, variable.numpy()) for variable in model.weights]


def _inputs_for(model: keras.Model, inputs: Any) -> Any:
    shape = tuple(model.input_shape[1:])
    if len(inputs.shape) == len(shape) + 1 and all(
        size in (None, of_data) for size, of_data in zip(shape, inputs.shape[1:], strict=True)
    ):
        return inputs
    noise = np.random.default_rng(0).normal(size=(2, *(size or 1 for size in shape)))
    return noise.astype(np.float32)


def _is_close(first: NDArray[Any], other: NDArray[Any]) -> bool:
    if first.shape != other.shape:
        return False
    finite = np.abs(first[np.isfinite(first)])
    atol = _TOLERANCE * float(finite.max(initial=0.0))
    return np.allclose(first, other, rtol=0, atol=atol, equal_nan=True)


def _reason(model: keras.Model, text: str) -> str:
    """Returns the layer that can't be saved or loaded, with the reason and the remedy.

    Args:
        model: The model.
        text: The message of the error, in case no single layer is found to cause it.
    """
    # Each layer is tried by itself, because Keras' messages may not name the layer at fault.
    for layer in _layers(model):
        name = f"the layer {layer.name} ({type(layer).__name__})"
        if _has_lambda(layer):
            return f"{name} holds a lambda, which can't be saved safely. {_LAMBDA_REMEDY}"
        try:
            config = keras.saving.serialize_keras_object(layer)
            shapes = [v.shape for v in keras.saving.deserialize_keras_object(config).weights]
        except Exception as failure:  # noqa: BLE001  Keras does not wrap those of a layer
            return f"{name}: {_first_sentence(str(failure))} {_REMEDY}"
        if shapes != [v.shape for v in layer.weights]:
            return f"{name}: its weights have other shapes after loading. {_REMEDY}"
    return f"{_first_sentence(text)} {_REMEDY}"


def _has_lambda(layer: Any) -> bool:
    names = (getattr(value, "__name__", None) for value in vars(layer).values())
    return isinstance(layer, keras.layers.Lambda) or "<lambda>" in names


def _differing_layer(model: keras.Model, loaded: keras.Model) -> str:
    """Names the first of the user's own layers whose attributes differ, or returns ""."""
    for here, there in zip(_layers(model), _layers(loaded), strict=False):
        if not type(here).__module__.startswith(_OWN) and _attributes(here) != _attributes(there):
            return f"; the layer {here.name} ({type(here).__name__}) differs"
    return ""


def _attributes(layer: Any) -> dict[str, Any]:
    """Returns the public attributes of a layer that can be compared with `==`."""
    plain = (bool, int, float, str, tuple, type(None))
    return {
        key: value
        for key, value in vars(layer).items()
        if not key.startswith("_") and isinstance(value, plain)
    }


def _layers(model: keras.Model) -> Iterator[Any]:
    """Yields all nested layers and subclassed models, without Keras' containers of layers."""
    # Keras has no public function that lists nested layers.
    for layer in model._flatten_layers():
        if not type(layer).__module__.startswith("keras.src.models."):
            yield layer


def _first_sentence(text: str) -> str:
    """Returns the reason in a message of Keras, without the configs and examples around it."""
    inner = " ".join(text.rpartition("Exception encountered:")[2].split())
    sentence = re.split(r"\. |\.$| Full object config", inner, maxsplit=1)[0]
    return f"{sentence[:_LONGEST] or 'no reason is given'}."


@contextmanager
def _perturbed_weights(model: keras.Model) -> Iterator[None]:
    """Changes every weight a little within the block; all variables are restored at the end."""
    # With initial values, such as zeros, a weight that is not loaded would go unnoticed.
    kept = [(variable, variable.numpy()) for variable in model.variables]
    for variable, value in kept:
        if value.dtype.kind == "f":
            variable.assign(value * value.dtype.type(1.01) + value.dtype.type(0.01))
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


@contextmanager
def _preserving_random_states() -> Iterator[None]:
    """Restores the states of Python's and NumPy's random number generators at the end."""
    # Loaded layers draw seeds; the run must have the same random numbers as without this check.
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextmanager
def _without_local_classes() -> Iterator[None]:
    """Removes the classes from Keras' registry that another process would not find there."""
    # A class defined inside a function is registered when the function is called. A process that
    # only imports the module can't load it.
    registry = keras.saving.get_custom_objects()
    local = {
        name: made
        for name, made in registry.items()
        if "<locals>" in getattr(made, "__qualname__", "")
    }
    for name in local:
        del registry[name]
    try:
        yield
    finally:
        registry.update(local)
