"""Starts TensorFlow quietly, seeded and deterministic, and makes its errors readable."""

import gc
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from expt.config.declarations import part_nodes
from expt.config.part_errors import describe_part_error, targets_of
from expt.config.schema import THREADS, Config
from expt.errors import RunError, UserError
from expt.runs.cores import schedulable_cores
from expt.train.keras_settings import apply_settings, prepare_keras
from expt.train.optional_imports import without_optional_imports

_log = logging.getLogger(__name__)
_INTRA_OP = "TF_NUM_INTRAOP_THREADS"
_reserved: set[str] = set()  # the values that this process itself has set
_BOLD = re.compile(r"\x1b\[1m(.+?)\x1b\[0m", re.DOTALL)
_LONGEST = 400  # the maximum length of a reason, in characters
_INNER = "Error encountered:"  # in Keras' messages, precedes the original error
_ARGUMENTS = re.compile(r"\n\s*Arguments received by ")
_OF_TENSORFLOW = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:.*", re.DOTALL)


def start_for(config: Config) -> None:
    """Starts TensorFlow with the settings of a job's config; see `start_tensorflow`."""
    start_tensorflow(config.seed, config.loop.precision.value, config.loop.threads)


def start_tensorflow(
    seed: int,
    precision: str = "float32",
    threads: int = THREADS,
    operations: int | None = None,
) -> None:
    """Imports TensorFlow if needed, and sets it to a state that depends only on the arguments.

    A job has the same results whether it runs alone or after others in the same process.

    Args:
        seed: The seed of all random number generators.
        precision: The Keras dtype policy: `float32`, `mixed_float16`, `mixed_bfloat16`, or for a
            gradient check `float64`, which is then also the type of everything without a policy.
        threads: The number of threads within an operation (intra-op). It can change the last bits
            of results.
        operations: The number of operations that run in parallel (inter-op), which changes only
            the speed; None for the number of cores. Has no effect once TensorFlow has started.

    Raises:
        UserError: TensorFlow has started in this process with another number of threads.
    """
    # `threads` has no default of TensorFlow's: that is the number of cores, and sums are rounded
    # according to how they are divided among threads.
    _prepare_imports()
    with _start_messages_to_log():
        with without_optional_imports():
            import keras
            import tensorflow as tf

        if operations is not None:
            tf.config.threading.set_inter_op_parallelism_threads(operations)
        _fix_threads(threads)
        # Starts the runtime, whose messages are to be captured too.
        tf.config.list_logical_devices()
    tf.config.experimental.enable_op_determinism()
    apply_settings()
    if precision == "float64":
        keras.config.set_floatx(precision)
    _freeze_imported_objects()
    _forget_custom_gradients()
    # Forgets the layers of previous jobs, which would change the names of this job's variables.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_dtype_policy(precision)


@cache
def _freeze_imported_objects() -> None:
    """Excludes the objects that exist after the imports from garbage collection."""
    # `keras.utils.clear_session` collects garbage, and needs 0.2 s per job to look at hundreds of
    # thousands of objects of TensorFlow's modules, none of which is garbage.
    gc.freeze()


def _forget_custom_gradients() -> None:
    """Removes the custom gradients of earlier jobs from TensorFlow's registry."""
    # TensorFlow registers one whenever a graph calls a function with a gradient of its own, as
    # losses of Keras and TensorFlow do, and never removes it. Its closure holds the whole graph of
    # the job: some 5 MB, in which `keras.utils.clear_session` searches garbage at each later job.
    from tensorflow.python.framework.ops import gradient_registry

    registered = gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]


def reserve_threads(count: int) -> None:
    """Sets the number of intra-op threads in the environment, for whoever starts TensorFlow.

    Args:
        count: The value of `loop.threads`.
    """
    # A data source that reads with TensorFlow starts it before `start_tensorflow` is called, and
    # the number of threads can't be changed after that.
    given = os.environ.get(_INTRA_OP)
    if given not in (None, str(count), *_reserved):
        _log.warning("%s=%s has no effect: loop.threads=%d decides.", _INTRA_OP, given, count)
    if "tensorflow" not in sys.modules:
        os.environ[_INTRA_OP] = str(count)
    _reserved.add(str(count))


def threads_in_effect() -> int:
    """Returns the number of intra-op threads; TensorFlow must have started."""
    import tensorflow as tf

    chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
    given = os.environ.get(_INTRA_OP, "")
    return chosen or (int(given) if given.isdecimal() else 0) or schedulable_cores()


def _fix_threads(count: int) -> None:
    """Sets the number of intra-op threads.

    Raises:
        UserError: TensorFlow has started with another number.
    """
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError as error:
        if threads_in_effect() != count:
            raise UserError(
                f"loop.threads={count}: TensorFlow has started in this process with "
                f"loop.threads={threads_in_effect()}, which can't be changed any more. Train runs "
                "with different values in separate processes, as a sweep does."
            ) from error


def devices() -> list[str]:
    """Returns the names of TensorFlow's devices except the CPU, as their vendors name them."""
    import tensorflow as tf

    found = [device for device in tf.config.list_physical_devices() if device.device_type != "CPU"]
    details = [tf.config.experimental.get_device_details(device) for device in found]
    return [
        str(detail.get("device_name", device.name))
        for device, detail in zip(found, details, strict=True)
    ]


@contextmanager
def _start_messages_to_log() -> Iterator[None]:
    """Redirects the messages of TensorFlow's C++ code to the log while TensorFlow starts."""
    # Messages about missing GPU libraries are printed before TensorFlow's log level applies.
    if "tensorflow" in sys.modules and not _Imported.to_be_started:
        yield
        return
    with stderr_to_log():
        yield
    _Imported.to_be_started = False


class _Imported:
    """Whether `import_tensorflow` has imported TensorFlow, and nothing has started it since."""

    to_be_started = False


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras without starting them, so that this process can be forked.

    A process with threads or devices in use can't be forked safely; the imports create neither.
    """
    _prepare_imports()
    with stderr_to_log(), without_optional_imports():
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401
    _Imported.to_be_started = True


def _prepare_imports() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    prepare_keras()


@contextmanager
def as_user_errors(what: str, config: Config | None = None) -> Iterator[None]:
    """Re-raises errors of TensorFlow and Keras, and of a user's own code, as `UserError`.

    Args:
        what: The beginning of the message, such as "the step can't be compiled".
        config: The config with the parts that run in the block, to name the one that failed.

    Raises:
        UserError: TensorFlow or Keras, or a user's own part, has raised an error.
    """
    import tensorflow as tf

    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        parts = {} if config is None else targets_of(part_nodes(config))
        message = describe_part_error(error, parts, reason_of(error))
        if message is None and not isinstance(error, TypeError | ValueError | tf.errors.OpError):
            raise
        raise UserError(message or f"{what}: {reason_of(error)}") from error


@contextmanager
def part_errors_as_run_errors(config: Config) -> Iterator[None]:
    """Re-raises errors that a user's own code raises during training as `RunError`.

    Raises:
        RunError: A user's own part has raised an error.
    """
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        message = describe_part_error(error, targets_of(part_nodes(config)), reason_of(error))
        if message is None:
            raise
        raise RunError(message) from error


def reason_of(error: Exception) -> str:
    """Returns the reason in an error message of Keras or TensorFlow, as one line."""
    # Keras prints the reason in bold, above the arguments of the call. TensorFlow prints it in the
    # last line, after a traceback, and puts names of operations around it.
    text = _ARGUMENTS.split(str(error).strip(), maxsplit=1)[0]
    in_bold = _BOLD.search(text)
    if in_bold is None:
        line = (text.splitlines() or [""])[-1]
    else:
        line = in_bold[1].rpartition(_INNER)[2].strip().splitlines()[0]
    reason = _OF_TENSORFLOW.sub("", line).strip() or type(error).__name__
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"


@contextmanager
def stderr_to_log() -> Iterator[None]:
    """Redirects everything that is printed to stderr within the block to the log."""
    # The file descriptor, because C++ code does not write to `sys.stderr`.
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
