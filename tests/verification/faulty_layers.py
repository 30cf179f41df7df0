"""A user's layers that can't be resumed, each for a different reason, and two that can."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_registered = keras.saving.register_keras_serializable(package="verification")


@_registered
class TensorFlowGenerator(keras.layers.Layer):  # type: ignore[misc]
    """Draws from a TensorFlow generator, whose state Keras does not track."""

    def __init__(self, **others: Any) -> None:
        super().__init__(**others)
        self.generator = tf.random.Generator.from_seed(1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + self.generator.uniform(tf.shape(inputs))


@_registered
class StatefulOperation(keras.layers.Layer):  # type: ignore[misc]
    """Draws with an operation that has hidden state."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + tf.random.uniform(tf.shape(inputs))


@_registered
class WithinFunction(keras.layers.Layer):  # type: ignore[misc]
    """Draws with a stateful operation within a loop of a separate compiled function."""

    @tf.function  # type: ignore[untyped-decorator]
    def noise(self, inputs: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(2):
            inputs += tf.random.normal(tf.shape(inputs))
        return inputs

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.noise(inputs)


@_registered
class NumpyGenerator(keras.layers.Layer):  # type: ignore[misc]
    """Draws from a NumPy generator in Python."""

    def __init__(self, seed: int | None = 0, **others: Any) -> None:
        super().__init__(**others)
        self.random = np.random.default_rng(seed)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        noise = tf.numpy_function(lambda: self.random.random((1,), np.float32), [], tf.float32)
        return inputs + tf.ensure_shape(noise, (1,))


@_registered
class Unseeded(NumpyGenerator):
    """Draws from a generator without a seed, so that even a repeat differs."""

    def __init__(self, **others: Any) -> None:
        super().__init__(None, **others)


@_registered
class Stateless(keras.layers.Layer):  # type: ignore[misc]
    """Calls a Python function without state."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shift = tf.numpy_function(lambda: np.ones(1, np.float32), [], tf.float32)
        return inputs + tf.ensure_shape(shift, (1,))


@_registered
class Constant(keras.layers.Layer):  # type: ignore[misc]
    """Has a variable that Keras does not track, but that never changes."""

    def __init__(self, **others: Any) -> None:
        super().__init__(**others)
        self.table = tf.Variable(2.0, trainable=False)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * self.table


LAYERS: dict[str, Callable[[], keras.layers.Layer]] = {
    "generator": TensorFlowGenerator,
    "operation": StatefulOperation,
    "function": WithinFunction,
    "numpy": NumpyGenerator,
    "unseeded": Unseeded,
    "stateless": Stateless,
    "constant": Constant,
}


def build(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    layers: Sequence[str],
) -> keras.Model:
    inputs = keras.Input(input_shape)
    hidden = keras.layers.Dropout(0.1)(keras.layers.Flatten()(inputs))
    for name in layers:
        hidden = LAYERS[name]()(act()(keras.layers.Dense(8)(hidden)))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden))
