"""TensorFlow's start: quiet, seeded and deterministic."""

import gc
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from expt.errors import UserError

_log = logging.getLogger(__name__)
_BOLD = re.compile(r"\x1b\[1m(.+?)\x1b\[0m")


def start_tensorflow(seed: int, precision: str = "float32") -> None:
    """Imports TensorFlow if need be and brings it to a state that depends on the seed alone.

    Layers of an earlier job in the same process are forgotten, so that a job gives the same bits
    whether it runs alone or after others.

    Args:
        seed: Of all random numbers.
        precision: What layers compute in: `float32`, `mixed_float16` or `mixed_bfloat16`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _start_messages_logged():
        import keras
        import tensorflow as tf

        tf.config.list_logical_devices()
    tf.config.experimental.enable_op_determinism()
    _leave_imports_uncollected()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_dtype_policy(precision)


@cache
def _leave_imports_uncollected() -> None:
    """Spares each job the 0.2 s in which Keras looks for garbage among what the imports made."""
    gc.freeze()


def use_threads(count: int) -> None:
    """Sets how many threads an operation may take; before TensorFlow starts, and once.

    Args:
        count: At least one.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(count)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(count)


def devices() -> list[str]:
    """Returns what TensorFlow computes on beside the CPU, by the names that vendors give."""
    import tensorflow as tf

    found = [device for device in tf.config.list_physical_devices() if device.device_type != "CPU"]
    details = [tf.config.experimental.get_device_details(device) for device in found]
    return [
        str(detail.get("device_name", device.name))
        for device, detail in zip(found, details, strict=True)
    ]


@contextmanager
def _start_messages_logged() -> Iterator[None]:
    """Sends what TensorFlow's C++ code prints while it starts to the log.

    Its messages about missing GPU libraries come before its log level applies.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    with stderr_logged():
        yield


@contextmanager
def mistakes_told(what: str) -> Iterator[None]:
    """Tells of what only TensorFlow finds wrong as of any other mistake.

    Args:
        what: What can't be done then.

    Raises:
        UserError: TensorFlow or Keras refuses something.
    """
    import tensorflow as tf

    try:
        yield
    except (TypeError, ValueError, tf.errors.OpError) as error:
        # Keras prints the reason in bold; TensorFlow puts a traceback before its last line.
        text = str(error).strip()
        in_bold = _BOLD.search(text)
        reason = in_bold[1] if in_bold else text.splitlines()[-1].strip()
        raise UserError(f"{what}: {reason}") from error


@contextmanager
def stderr_logged() -> Iterator[None]:
    """Sends what Python and C++ code prints to stderr meanwhile to the log."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            captured.seek(0)
            for line in captured.read().decode(errors="replace").splitlines():
                _log.info("tensorflow: %s", line)
