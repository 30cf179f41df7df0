import functools
from typing import Any

import keras
import pytest
import tensorflow as tf

from expt.parts.losses import mse
from expt.train.compilation import compile_function, convert, is_converted
from expt.train.step import Step


def doubled_if_positive(x: tf.Tensor, factor: float = 2.0) -> tf.Tensor:
    """A function as users write them: AutoGraph makes the branch a tf.cond."""
    if tf.reduce_sum(x) > 0:
        return factor * x
    return x


class Callable:
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return doubled_if_positive(x)


def step_of(function: Any) -> Step:
    other: Any = mse
    return Step(function, other, other, [], [])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (doubled_if_positive, True),
        (functools.partial(doubled_if_positive, factor=3.0), True),
        (Callable(), True),
        (step_of(doubled_if_positive), True),
        (step_of(mse), False),
        (mse, False),
        (functools.partial(mse), False),
        (keras.losses.mean_squared_error, False),
        (tf.reduce_sum, False),
    ],
)
def test_only_functions_of_users_are_converted(function: Any, expected: bool) -> None:
    assert is_converted(function) is expected


@pytest.mark.parametrize("mode", ["graph", "xla", "eager"])
@pytest.mark.parametrize(
    "function", [doubled_if_positive, functools.partial(doubled_if_positive), Callable()]
)
def test_branches_of_users_may_depend_on_tensors(function: Any, mode: str) -> None:
    """Within a compiled function of expt, too, which is not converted itself."""
    inner = convert(function)
    outer = tf.function(lambda x: inner(x) + 1.0, autograph=False)
    for compiled, added in ((compile_function(function, mode), 0.0), (outer, 1.0), (inner, 0.0)):
        assert compiled(tf.constant([1.0])).numpy() == [2.0 + added]
        assert compiled(tf.constant([-1.0])).numpy() == [-1.0 + added]


def test_gradients_pass_through_converted_functions() -> None:
    inner = convert(doubled_if_positive)

    def slope(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = inner(x) ** 3
            first = tape.gradient(y, x)
        return outer.gradient(first, x)

    compiled = tf.function(slope, autograph=False)
    assert compiled(tf.constant(1.0)).numpy() == 48.0  # of 8 x^3
