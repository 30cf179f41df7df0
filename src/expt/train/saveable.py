"""Whether a model, once trained, can be saved and loaded again: tried before it is trained.

Importing this imports TensorFlow; `start_tensorflow` comes first.
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

from expt.config.compose import Job
from expt.config.instantiate import targets
from expt.errors import UserError
from expt.train.objective import outputs_of
from expt.train.saved_model import load_model

_OWN = ("expt.", "keras.")
_REMEDY = (
    "A file holds the name of a class and what its get_config returns. Define the class, or the "
    "function, at the top level of a module, put @keras.saving.register_keras_serializable() "
    "before it, let its __init__ pass **kwargs on to the class above, and let get_config return "
    "every argument of __init__."
)
_OF_LAMBDA = (
    "Write a function at the top level of a module, or a keras.layers.Layer, and put "
    "@keras.saving.register_keras_serializable() before it."
)
_LONGEST = 300  # characters of what Keras says
_TOLERANCE = 1e-5  # of the largest output


def check_saveable(model: keras.Model, job: Job, inputs: Any) -> None:
    """Saves a model to a temporary file, loads it as `expt.evaluate` does, and compares the two.

    Only models with code of the user's own are tried: it takes about as long as making them again.
    Their weights differ meanwhile from those that layers begin with, or one that is not loaded
    would go unnoticed. Nothing is changed.

    Args:
        model: What will be saved; it has been built.
        job: The frozen config.
        inputs: Some examples, [batch, ...]; noise stands in for those that it does not take.

    Raises:
        UserError: It can't be saved, or not be loaded, or gives other outputs then.
    """
    if not _has_users_code(job):
        return
    with (
        tempfile.TemporaryDirectory(prefix="expt-model-") as folder,
        _random_states_kept(),
        _varied(model),
        _without_local_classes(),
    ):
        file = Path(folder) / "model.keras"
        try:
            model.save(file)
        except Exception as error:  # Keras lets through whatever a layer raises
            reason = _reason(model, str(error))
            raise UserError(f"model: it can't be saved: {reason}") from error
        try:
            loaded = load_model(file, job)
        except UserError as error:
            text = str(error).removeprefix(f"{file} can't be loaded: ")
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
    """Compares weights, and outputs unless the model draws random numbers in evaluation, too.

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
    given = _inputs_for(model, inputs)
    first, again, other = (
        np.asarray(outputs_of(network, given, training=False)) for network in (model, model, loaded)
    )
    if np.array_equal(first, again, equal_nan=True) and not _is_close(first, other):
        where = _differing_layer(model, loaded)
        raise UserError(f"model: once saved and loaded, it gives other outputs{where}. {_REMEDY}")


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
    """Returns the layer that is to blame and what it raises, else the text; and the remedy."""
    for layer in _layers(model):
        name = f"the layer {layer.name} ({type(layer).__name__})"
        if _has_lambda(layer):
            return f"{name} holds a lambda, which no file can hold safely. {_OF_LAMBDA}"
        try:
            config = keras.saving.serialize_keras_object(layer)
            shapes = [v.shape for v in keras.saving.deserialize_keras_object(config).weights]
        except Exception as failure:  # noqa: BLE001  as when it is saved
            return f"{name}: {_first_sentence(str(failure))} {_REMEDY}"
        if shapes != [v.shape for v in layer.weights]:
            return f"{name}: its weights have other shapes then. {_REMEDY}"
    return f"{_first_sentence(text)} {_REMEDY}"


def _has_lambda(layer: Any) -> bool:
    names = (getattr(value, "__name__", None) for value in vars(layer).values())
    return isinstance(layer, keras.layers.Lambda) or "<lambda>" in names


def _differing_layer(model: keras.Model, loaded: keras.Model) -> str:
    """Returns the first layer that is not Keras' own whose attributes differ, if one's do."""
    for here, there in zip(_layers(model), _layers(loaded), strict=False):
        if not type(here).__module__.startswith(_OWN) and _state(here) != _state(there):
            return f"; the layer {here.name} ({type(here).__name__}) differs"
    return ""


def _state(layer: Any) -> dict[str, Any]:
    """The attributes of a layer that a comparison makes sense of."""
    plain = (bool, int, float, str, tuple, type(None))
    return {
        key: value
        for key, value in vars(layer).items()
        if not key.startswith("_") and isinstance(value, plain)
    }


def _layers(model: keras.Model) -> Iterator[Any]:
    """Yields layers and subclassed models, however deep; not what is made of other layers alone."""
    for layer in model._flatten_layers():  # Keras offers no other
        if not type(layer).__module__.startswith("keras.src.models."):
            yield layer


def _first_sentence(text: str) -> str:
    """Returns the reason that Keras gives, without the configs and examples around it."""
    inner = " ".join(text.rpartition("Exception encountered:")[2].split())
    sentence = re.split(r"\. |\.$| Full object config", inner, maxsplit=1)[0]
    return f"{sentence[:_LONGEST] or 'no reason is given'}."


@contextmanager
def _varied(model: keras.Model) -> Iterator[None]:
    """Changes every weight a little meanwhile; whatever calls change is restored, too."""
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
def _random_states_kept() -> Iterator[None]:
    """Leaves out of the run's random numbers the seeds that loaded layers draw."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextmanager
def _without_local_classes() -> Iterator[None]:
    """Takes from Keras' registry what another process would not find there.

    A class that a function defines is registered when that is called, not by an import.
    """
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
