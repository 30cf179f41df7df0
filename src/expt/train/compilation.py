"""Compilation of functions with TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compile_function(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Returns a compiled function.

    Args:
        function: A function of tensors.
        mode: `graph`, `xla`, or `eager`, which returns the function itself.
    """
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla")  # type: ignore[no-any-return]
