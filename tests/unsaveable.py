"""Models of users' own: some can be saved and loaded again, the others in some way can't."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

_registered = keras.saving.register_keras_serializable(package="unsaveable")
Build = Callable[..., keras.Model]


def scale(x: Any) -> Any:
    """An activation that is not registered, but can be imported."""
    return 0.5 * x


@_registered
class Scaled(keras.layers.Layer):  # type: ignore[misc]
    """Has all that it takes."""

    def __init__(self, factor: float = 2.0, **others: Any) -> None:
        super().__init__(**others)
        self.factor = factor

    def build(self, shape: Sequence[int]) -> None:
        self.shift = self.add_weight(shape=(shape[-1],), initializer="zeros", name="shift")

    def call(self, x: Any) -> Any:
        return self.factor * x + self.shift

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return {**config, "factor": self.factor}


class Unregistered(Scaled):
    """Found by its module's name."""


@_registered
class Forgetful(Scaled):
    """Leaves its argument out of its config."""

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = keras.layers.Layer.get_config(self)
        return config


@_registered
class Demanding(keras.layers.Layer):  # type: ignore[misc]
    """Takes an argument that no file can hold, and has no get_config."""

    def __init__(self, function: Callable[[Any], Any], **others: Any) -> None:
        super().__init__(**others)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


@_registered
class Narrowing(Scaled):
    """Makes a weight of another shape once loaded."""

    def __init__(self, width: int = 1, **others: Any) -> None:
        super().__init__(**others)
        self.width = width

    def build(self, _shape: Sequence[int]) -> None:
        self.shift = self.add_weight(shape=(self.width,), initializer="zeros", name="shift")


@_registered
class Keeping(Scaled):
    """Does not load the weight that it saves."""

    def load_own_variables(self, store: Any) -> None:
        pass


@_registered
class Noisy(Scaled):
    """Draws random numbers in evaluation, too."""

    def build(self, shape: Sequence[int]) -> None:
        super().build(shape)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        return super().call(x) + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


@_registered
class Subclassed(keras.Model):  # type: ignore[misc]
    """A model without get_config, whose argument no file can hold."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.parts = layers

    def call(self, x: Any) -> Any:
        for layer in self.parts:
            x = layer(x)
        return x


@_registered
class Penalty(keras.regularizers.Regularizer):  # type: ignore[misc]
    """A regularizer without get_config."""

    def __call__(self, x: Any) -> Any:
        return 0.01 * keras.ops.sum(keras.ops.abs(x))


@_registered
class Bound(keras.constraints.Constraint):  # type: ignore[misc]
    """A constraint with a get_config."""

    def __init__(self, most: float = 1.0) -> None:
        self.most = most

    def __call__(self, w: Any) -> Any:
        return keras.ops.clip(w, -self.most, self.most)

    def get_config(self) -> dict[str, Any]:
        return {"most": self.most}


@_registered
class Start(keras.initializers.Initializer):  # type: ignore[misc]
    """An initializer that does not give back its argument."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, self.value, dtype)


def _with(make: Callable[[], Any]) -> Build:
    def build(input_shape: Sequence[int], num_outputs: int, act: Callable[[], Any]) -> keras.Model:
        inputs = keras.Input(input_shape)
        hidden = make()(act()(keras.layers.Dense(4)(keras.layers.Flatten()(inputs))))
        return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden))

    return build


def local(input_shape: Sequence[int], num_outputs: int, act: Callable[[], Any]) -> keras.Model:
    """Its layer's class is made in a function, and registered only when that is called."""

    @_registered
    class Local(Scaled):
        pass

    return _with(Local)(input_shape, num_outputs, act)


def subclassed(input_shape: Sequence[int], num_outputs: int, act: Any) -> keras.Model:
    """A model that is no graph of layers."""
    del input_shape
    return Subclassed([keras.layers.Flatten(), act(), keras.layers.Dense(num_outputs)])


registered = _with(Scaled)
unregistered = _with(Unregistered)
forgetful = _with(lambda: Forgetful(3.0))
demanding = _with(lambda: Demanding(scale))
nameless = _with(lambda: Demanding(lambda x: 2 * x))
narrowing = _with(lambda: Narrowing(4))
keeping = _with(Keeping)
noisy = _with(Noisy)
with_lambda = _with(lambda: keras.layers.Lambda(lambda x: 2 * x, name="double"))
activation = _with(lambda: keras.layers.Dense(4, activation=scale))
nameless_activation = _with(lambda: keras.layers.Dense(4, activation=lambda x: 2 * x))
regularizer = _with(lambda: keras.layers.Dense(4, kernel_regularizer=Penalty()))
constraint = _with(lambda: keras.layers.Dense(4, kernel_constraint=Bound(0.5)))
initializer = _with(lambda: keras.layers.Dense(4, kernel_initializer=Start(0.5)))
