"""Compiling functions of tensors."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Compiles a function as `loop.compile` says: `graph`, `xla` or `eager` (not at all)."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla")  # type: ignore[no-any-return]
