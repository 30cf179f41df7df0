"""What a model learns to do, as functions of its outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf

Function = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""A loss or metric: a function of targets and outputs."""


@dataclass(frozen=True)
class Objective:
    """What is to be made small, and what is to be told of it.

    Attributes:
        loss: Gives one value for each example, from targets and outputs.
        metrics: By name, functions of targets and outputs that give one number.
        predict: Turns outputs into predictions, such as logits of classes into probabilities.
        num_parts: In how many parts a training step computes the gradient of its batch, one after
            the other.
    """

    loss: Function
    metrics: Mapping[str, Function]
    predict: Callable[[tf.Tensor], tf.Tensor]
    num_parts: int = 1


def outputs_of(model: keras.Model, inputs: tf.Tensor, *, training: bool) -> tf.Tensor:
    """Runs a model; its outputs become float32, but for those in float64.

    A model of float16 gives float16, which is too coarse for a loss. One that gives values in the
    unit of standardised targets gives float64, as float32 can lack their digits.
    """
    outputs = model(inputs, training=training)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def output_type(model: keras.Model) -> tf.DType:
    """Returns the type of what `outputs_of` returns for a model."""
    return tf.float64 if model.outputs[0].dtype == "float64" else tf.float32


def of_one_type(function: Function) -> Function:
    """Gives a loss or metric values of the outputs' type; class numbers stay as they are."""

    def of_one_type(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        if targets.dtype.is_floating:
            targets = tf.cast(targets, outputs.dtype)
        return function(targets, outputs)

    return of_one_type
