"""A user's loss that gets into trouble in the middle of training.

The first batch is free of trouble, so that the checks before training pass, except for the troubles
`shape` and `infinite`.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_STEPS = 25  # the number of calls without trouble
_SECONDS = 0.1  # the duration of a slow step


def crossentropy(targets: Any, outputs: Any, *, trouble: str) -> Any:
    """Returns the cross-entropy of each example, shape [batch].

    If the working directory contains a file `trouble_is_over`, all troubles after the first batch
    are over, except for `diverge`.
    """
    values = keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
    if trouble == "none":
        return values
    if trouble == "shape":
        return values[:, None]
    if trouble == "infinite":
        return values / 0.0
    return values * tf.py_function(_make_trouble(trouble), [], tf.float32)


def _make_trouble(trouble: str) -> Callable[[], float]:
    steps = 0

    def factor() -> float:
        nonlocal steps
        steps += 1
        is_over = Path("trouble_is_over").exists()
        if steps < _STEPS or (is_over and trouble != "diverge"):
            return 1.0
        # Tests wait for this file, and kill the process that it names.
        Path(f"{trouble}.process").write_text(str(os.getpid()))
        if trouble == "raise":
            raise LookupError("no such\nword")
        time.sleep({"diverge": 0.0, "slow": _SECONDS}.get(trouble, 3600.0))
        return float("nan") if trouble == "diverge" else 1.0

    return factor
