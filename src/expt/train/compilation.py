"""Compilation of functions with TensorFlow."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf

_WITHOUT_AUTOGRAPH = ("expt", "keras", "tensorflow")


@runtime_checkable
class Parts(Protocol):
    """A callable that calls other functions, some of which may be user code."""

    @property
    def parts(self) -> Sequence[Callable[..., Any]]:
        """The functions that it calls."""
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
    """Returns whether AutoGraph must convert a function: unless it is of expt, Keras or TensorFlow.

    User code may use `if` and `while` on tensors, which works only after conversion. expt itself
    uses `tf.cond` and `tf.while_loop`, because converting it would slow down each start.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, Parts):
        return any(map(is_converted, function.parts))
    module = getattr(function, "__module__", None) or type(function).__module__
    return module.partition(".")[0] not in _WITHOUT_AUTOGRAPH


def convert(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps user code so that AutoGraph converts it when a compiled function calls it.

    Other functions are returned unchanged.
    """
    if not is_converted(function):
        return function
    compiled = tf.function(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        run = function if tf.executing_eagerly() else compiled
        return run(*args, **kwargs)

    return call
