"""The models of the Keras contenders, with the initial weights of expt's models."""

from collections.abc import Sequence

import keras
from scripts.contenders.common import Task


def make_model(task: Task) -> keras.Model:
    """Returns the model of a task, which returns logits."""
    shape = task.arrays["x_train"].shape[1:]
    if task.model == "mlp":
        hidden = [keras.layers.Flatten(), *_dense(task.sizes)]
    elif task.model == "cnn":
        hidden = [*_convolutions(task.sizes), keras.layers.Flatten(), *_dense([128])]
    else:
        return _make_model_of_expt(task.model, shape, task.num_classes)
    return keras.Sequential([keras.Input(shape), *hidden, keras.layers.Dense(task.num_classes)])


def _dense(units: Sequence[int]) -> list[keras.Layer]:
    return [
        keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")
        for width in units
    ]


def _convolutions(channels: Sequence[int]) -> list[keras.Layer]:
    layers = []
    for number in channels:
        layers.append(
            keras.layers.Conv2D(
                number, 3, padding="same", activation="relu", kernel_initializer="he_normal"
            )
        )
        layers.append(keras.layers.MaxPooling2D())
    return layers


def _make_model_of_expt(name: str, shape: Sequence[int], num_classes: int) -> keras.Model:
    """Returns a model that is too long to write twice, as its config describes it."""
    from expt.config.compose import compose_jobs
    from expt.config.instantiate import bind_part, call_part

    (job,), _ = compose_jobs([f"model={name}"], None, multirun=False)
    part = bind_part(job.config.model, "model")
    return call_part(part, "model", input_shape=shape, num_outputs=num_classes, act=_Rectifier())


class _Rectifier:
    """Makes ReLU layers, and names the initial weights that suit them."""

    initializer = "he_normal"

    def __call__(self) -> keras.Layer:
        return keras.layers.ReLU()
