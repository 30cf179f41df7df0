"""What a model learns to do, as functions of its outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

Function = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""A loss or metric: a function of targets and outputs."""


@dataclass(frozen=True)
class Objective:
    """What is to be made small, and what is to be told of it.

    Attributes:
        loss: Gives one value for each example, from targets and outputs.
        metrics: By name, functions of targets and predictions that give one number.
        predict: Turns outputs into predictions, such as logits of pixels into pixels.
    """

    loss: Function
    metrics: Mapping[str, Function]
    predict: Callable[[tf.Tensor], tf.Tensor]
