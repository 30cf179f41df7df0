"""A user's loss that gets into trouble in the middle of training, but not on the first batch."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_STEPS = 25  # that pass before
_SECONDS = 0.1  # that a slow step takes


def crossentropy(targets: Any, outputs: Any, *, trouble: str) -> Any:
    """The crossentropy of each example, shape [batch]; `well` in the folder ends some troubles."""
    values = keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
    if trouble == "none":
        return values
    if trouble == "shape":
        return values[:, None]
    if trouble == "infinite":
        return values / 0.0
    return values * tf.py_function(_striking(trouble), [], tf.float32)


def _striking(trouble: str) -> Callable[[], float]:
    steps = 0

    def strike() -> float:
        nonlocal steps
        steps += 1
        is_well = Path("well").exists()
        if steps < _STEPS or (is_well and trouble != "diverge"):
            return 1.0
        Path(f"{trouble}.process").write_text(str(os.getpid()))
        if trouble == "raise":
            raise LookupError("no such\nword")
        time.sleep({"diverge": 0.0, "slow": _SECONDS}.get(trouble, 3600.0))
        return float("nan") if trouble == "diverge" else 1.0

    return strike
