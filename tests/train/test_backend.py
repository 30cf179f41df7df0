import gc
import random
import subprocess
import sys
import weakref
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.train.backend import devices, reason_of, start_tensorflow


def make_model() -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.5)])


def drawn(seed: int) -> tuple[list[list[float]], list[str], Any]:
    """Returns the initial weights, the variable names, and the first outputs of a new job."""
    start_tensorflow(seed)
    model = make_model()
    outputs = model(np.ones((5, 4), np.float32), training=True)
    weights = [variable.numpy().ravel().tolist() for variable in model.variables]
    return weights, [variable.path for variable in model.variables], outputs.numpy().tolist()


def test_results_of_a_job_depend_only_on_the_seed() -> None:
    first = drawn(0)
    assert drawn(0) == first
    assert drawn(1)[0] != first[0]
    make_model()
    keras.random.normal((3,))
    assert drawn(0) == first


def test_python_and_numpy_random_numbers_are_seeded() -> None:
    def draw() -> tuple[float, float, float]:
        start_tensorflow(3)
        return random.random(), np.random.rand(), float(keras.random.normal(()))  # noqa: S311

    assert draw() == draw()


def test_imported_objects_are_excluded_from_garbage_collection() -> None:
    start_tensorflow(0)
    frozen = gc.get_freeze_count()
    assert frozen > 100_000
    start_tensorflow(0)
    assert gc.get_freeze_count() <= frozen  # an earlier job's objects can be garbage


def test_graphs_of_earlier_jobs_are_freed() -> None:
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def doubled(x: Any) -> Any:
        return 2.0 * x, lambda upstream: 2.0 * upstream

    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = doubled(x)
        return tape.gradient(y, x)

    start_tensorflow(0)
    graph = weakref.ref(tf.function(gradient).get_concrete_function(tf.TensorSpec([])).graph)
    start_tensorflow(0)
    assert graph() is None


def test_tensorflow_starts_without_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    code = (
        "import sys; from expt.train.backend import start_tensorflow; start_tensorflow(0); "
        "print('after', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "after\n")


def test_devices_beside_the_cpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(2)]
    details = {gpus[0].name: {"device_name": "Tesla"}, gpus[1].name: {}}
    assert not [name for name in devices() if "CPU" in name]
    cpus = tf.config.list_physical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: [*cpus, *gpus])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda device: details[device.name]
    )
    assert devices() == ["Tesla", "/physical_device:GPU:1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first line\n  last line ", "last line"),
        (
            "Exception encountered when calling Dense.call().\n\n\x1b[1mIn bold.\nMore\x1b[0m\n\n"
            "Arguments received by Dense.call():\n  • kwargs=<class 'inspect._empty'>",
            "In bold.",
        ),
        (
            "Exception\n\n\x1b[1mCould not infer it. Error encountered:\n\nThe cause\x1b[0m\n\n"
            "Arguments received by M.call():\n  • args",
            "The cause",
        ),
        (
            "{{function_node __wrapped__Cast_device_/job:localhost}} Cast float to string is not "
            "supported [Op:Cast] name: ",
            "Cast float to string is not supported",
        ),
        ("Plain sentence.\n\nArguments received by M.call():\n  • args", "Plain sentence."),
        ("", "ValueError"),
        ("x" * 1000, "x" * 400 + "…"),
    ],
)
def test_reason_of_an_error_is_one_line(text: str, expected: str) -> None:
    assert reason_of(ValueError(text)) == expected
