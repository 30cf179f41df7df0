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

from expt.config.schema import THREADS, Config
from expt.errors import UserError
from expt.runs.cores import schedulable_cores
from expt.train.keras_settings import apply_settings, prepare_keras

_log = logging.getLogger(__name__)
_INTRA_OP = "TF_NUM_INTRAOP_THREADS"
_reserved: set[str] = set()  # what this process has put there itself
_BOLD = re.compile(r"\x1b\[1m(.+?)\x1b\[0m", re.DOTALL)
_LONGEST = 400  # characters of what they say
_INNER = "Error encountered:"  # between what Keras makes of an error and the error itself
_ARGUMENTS = re.compile(r"\n\s*Arguments received by ")
_OF_TENSORFLOW = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:.*", re.DOTALL)


def start_for(config: Config) -> None:
    """Starts TensorFlow as the frozen config of a job says; see `start_tensorflow`."""
    start_tensorflow(config.seed, config.loop.precision.value, config.loop.threads)


def start_tensorflow(
    seed: int,
    precision: str = "float32",
    threads: int = THREADS,
    operations: int | None = None,
) -> None:
    """Imports TensorFlow if need be and brings it to a state that depends on the arguments alone.

    Layers of an earlier job in the same process are forgotten, so that a job gives the same bits
    whether it runs alone or after others.

    Args:
        seed: Of all random numbers.
        precision: What layers compute in: `float32`, `mixed_float16` or `mixed_bfloat16`.
        threads: How many an operation takes. Sums are rounded as they are divided among threads,
            so TensorFlow's default, the number of cores, would make the results depend on that.
        operations: How many may run at once, which changes the speed alone; None is as many as
            there are cores. Of no effect once TensorFlow has started.

    Raises:
        UserError: TensorFlow has started in this process with another number of threads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    prepare_keras()
    with _start_messages_logged():
        import keras
        import tensorflow as tf

        if operations is not None:
            tf.config.threading.set_inter_op_parallelism_threads(operations)
        _fix_threads(threads)
        tf.config.list_logical_devices()
    tf.config.experimental.enable_op_determinism()
    apply_settings()
    _leave_imports_uncollected()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_dtype_policy(precision)


@cache
def _leave_imports_uncollected() -> None:
    """Spares each job the 0.2 s in which Keras looks for garbage among what the imports made."""
    gc.freeze()


def reserve_threads(count: int) -> None:
    """Sets how many threads an operation takes, should something else start TensorFlow first.

    A data source that reads with TensorFlow does, before the model is made.

    Args:
        count: As `loop.threads` says.
    """
    given = os.environ.get(_INTRA_OP)
    if given not in (None, str(count), *_reserved):
        _log.warning("%s=%s has no effect: loop.threads=%d decides.", _INTRA_OP, given, count)
    if "tensorflow" not in sys.modules:
        os.environ[_INTRA_OP] = str(count)
    _reserved.add(str(count))


def threads_in_effect() -> int:
    """Returns how many threads an operation takes; TensorFlow has started."""
    import tensorflow as tf

    chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
    given = os.environ.get(_INTRA_OP, "")
    return chosen or (int(given) if given.isdecimal() else 0) or schedulable_cores()


def _fix_threads(count: int) -> None:
    """Sets how many threads an operation takes, if that can still be set.

    Raises:
        UserError: It can't, and TensorFlow takes another number.
    """
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError as error:
        if threads_in_effect() != count:
            raise UserError(
                f"loop.threads={count}: TensorFlow has started in this process with "
                f"loop.threads={threads_in_effect()}, which can't be changed any more. Train runs "
                "that differ in it in processes of their own, as a sweep does."
            ) from error


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
def as_user_errors(what: str) -> Iterator[None]:
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
        raise UserError(f"{what}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Returns the line of an error of Keras or TensorFlow that says what is wrong.

    Keras prints the reason in bold, above the arguments of the call; TensorFlow puts a traceback
    before its last line, and the names of its operations around that.
    """
    text = _ARGUMENTS.split(str(error).strip(), maxsplit=1)[0]
    in_bold = _BOLD.search(text)
    if in_bold is None:
        line = (text.splitlines() or [""])[-1]
    else:
        line = in_bold[1].rpartition(_INNER)[2].strip().splitlines()[0]
    reason = _OF_TENSORFLOW.sub("", line).strip() or type(error).__name__
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"


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
