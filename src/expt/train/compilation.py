"""Compilation of functions with TensorFlow."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf

_WITHOUT_AUTOGRAPH = ("expt", "keras", "tensorflow")


@runtime_checkable
class Parts(Protocol):
    """A function that consists of others, which may be a user's."""

    @property
    def parts(self) -> Sequence[Callable[..., Any]]:
        """The others."""
        ...


def compile_function(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Returns a compiled function.

    Args:
        function: A function of tensors.
        mode: `graph`, `xla`, or `eager`, which returns the function itself.
    """
    if mode == "eager":
        return function
    return tf.function(  # type: ignore[no-any-return]
        function, jit_compile=mode == "xla", autograph=is_converted(function)
    )


def is_converted(function: Callable[..., Any]) -> bool:
    """Returns whether AutoGraph must convert a function: if a user has written it.

    An `if` or `while` of a user's function may depend on tensors. In expt itself none does, since
    converting its functions would take a second at each start. Keras is not converted, either.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, Parts):
        return any(map(is_converted, function.parts))
    module = getattr(function, "__module__", None) or type(function).__module__
    return module.partition(".")[0] not in _WITHOUT_AUTOGRAPH


def convert(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function for use in compiled ones, which AutoGraph converts if it must."""
    if not is_converted(function):
        return function
    compiled = tf.function(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        run = function if tf.executing_eagerly() else compiled
        return run(*args, **kwargs)

    return call
