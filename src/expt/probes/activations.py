"""The probe of activations: their distribution, dead units and saturation, layer by layer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from expt.probes.probe import ProbeMoment, Subject

_LAYERS = (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)
"""Activation layers without an attribute `activation`."""

Function = Callable[[Any], Any]


class Activations:
    """Distribution of each activation, and the shares of dead units and of saturated values.

    The probe runs the model on fixed inputs, as in evaluation, and looks at the input z and
    the output f(z) of each activation that is not linear. For each of them it records:

    - `saturated_share/LAYER`: the share of values with |f'(z)| below `threshold`, where hardly any
      gradient passes. For relu these are all values below 0.
    - `dead_share/LAYER`: the share of units with f'(z) = 0 for every example: those of a relu that
      never fire, and never learn again while that is so. A unit is an entry of the last axis, such
      as a channel.
    - `activation_mean/LAYER` and `activation_deviation/LAYER`: of f(z).
    - `activations/LAYER`: the histogram of f(z).

    Activations are named after their layer. Those within recurrent layers are not seen.

    Args:
        threshold: The derivative below which a value is saturated.
        histograms: Whether to record histograms.
    """

    def __init__(self, threshold: float = 0.05, histograms: bool = True) -> None:
        self._threshold, self._histograms = threshold, histograms
        self._look: Any = None

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the activations at the current weights."""
        if self._look is None:
            self._look = subject.compiled(lambda: self._measure(subject))
        logged: dict[str, float] = {}
        for layer, seen in self._look().items():
            for name in ("saturated_share", "dead_share"):
                logged[f"{name}/{layer}"] = float(seen[name])
            outputs = seen["outputs"].numpy().astype(np.float64)
            logged[f"activation_mean/{layer}"] = float(outputs.mean())
            logged[f"activation_deviation/{layer}"] = float(outputs.std())
            if self._histograms:
                moment.log_histogram(f"activations/{layer}", outputs)
        moment.log({name: value for name, value in logged.items() if np.isfinite(value)})

    def _measure(self, subject: Subject) -> Mapping[str, Mapping[str, tf.Tensor]]:
        seen = activations_of(subject.model, subject.inputs)
        return {
            layer: {"outputs": f(z), **_shares(f, z, self._threshold)} for layer, (f, z) in seen
        }


def _shares(f: Function, z: tf.Tensor, threshold: float) -> Mapping[str, tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(z)
        outputs = f(z)
    slopes = tf.abs(tf.cast(tape.gradient(outputs, z), tf.float32))
    is_dead = tf.reduce_all(slopes == 0, axis=tuple(range(len(z.shape) - 1)))
    return {
        "saturated_share": tf.reduce_mean(tf.cast(slopes < threshold, tf.float32)),
        "dead_share": tf.reduce_mean(tf.cast(is_dead, tf.float32)),
    }


def activations_of(
    model: keras.Model, inputs: tf.Tensor
) -> Sequence[tuple[str, tuple[Function, tf.Tensor]]]:
    """Returns the activations of a model in the order in which they are computed.

    Args:
        model: The model, which is called on the inputs as in evaluation.
        inputs: Shape [batch, ...].

    Returns:
        For each, the name of its layer, the elementwise function f, and its input z.
    """
    seen: list[tuple[str, tuple[Function, tf.Tensor]]] = []

    def watched(name: str, function: Function) -> Function:
        def call(z: Any, *args: Any, **kwargs: Any) -> Any:
            names = [one for one, _ in seen]
            seen.append((name if name not in names else f"{name}.{len(names)}", (function, z)))
            return function(z, *args, **kwargs)

        return call

    with _replaced(model, watched):
        model(inputs, training=False)
    return seen


@contextmanager
def _replaced(model: keras.Model, watched: Callable[[str, Function], Function]) -> Iterator[None]:
    """Replaces the activations of a model's layers, until the end of the block."""
    # Keras has no hooks on layers, and a functional model of the layers' inputs would leave out
    # subclassed models and activations that are an argument of their layer.
    restore: list[tuple[Any, str, Any]] = []
    recurrent = {
        id(inner)
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN)
        for inner in layer._flatten_layers()
    }
    try:
        for layer in model._flatten_layers():
            name = "call" if isinstance(layer, _LAYERS) else "activation"
            function = getattr(layer, name, None)
            if id(layer) in recurrent or function is None or _is_no_unit(function):
                continue
            restore.append((layer, name, layer.__dict__.get(name)))
            object.__setattr__(layer, name, watched(layer.name, function))
        yield
    finally:
        for layer, name, own in restore:
            if own is None:
                object.__delattr__(layer, name)
            else:
                object.__setattr__(layer, name, own)


def _is_no_unit(function: Function) -> bool:
    """Whether a function is linear or compares several values, as softmax does."""
    return function in (
        keras.activations.linear,
        keras.activations.softmax,
        keras.activations.log_softmax,
    )
