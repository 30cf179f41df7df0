"""Every optimizer over a hundred steps of a network, against its rule in NumPy with float64."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parts import optimizer_problem as problem
from parts.test_optimizers import CLIPS, EVERY_OPTION, Array, ConfPart, reference

RATES = [0.5 + np.cos(np.pi * step / 100) / 2 for step in range(problem.NUM_STEPS)]
"""A decaying learning rate."""


class Falling(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    def __init__(self, learning_rate: float) -> None:
        self._rates = tf.constant([learning_rate * factor for factor in RATES], tf.float32)

    def __call__(self, step: Any) -> tf.Tensor:
        return tf.gather(self._rates, tf.convert_to_tensor(step))

    def get_config(self) -> dict[str, Any]:
        return {}


def run(optimizer: Any) -> tuple[list[Array], list[Array]]:
    """Returns the weights after all steps, and their averages, if any."""
    variables = [keras.Variable(theta, dtype="float32") for theta in problem.START]
    optimizer.build(variables)
    apply = tf.function(lambda *gradients: optimizer.apply(gradients, variables))
    for step in range(problem.NUM_STEPS):
        gradients = problem.gradients([variable.numpy() for variable in variables], step)
        apply(*(tf.constant(gradient, tf.float32) for gradient in gradients))
    averages = [v.numpy() for v in optimizer.variables if v.path.endswith("_average")]
    return [variable.numpy() for variable in variables], averages


def assert_close(found: list[Array], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)


@EVERY_OPTION
def test_hundred_steps_with_defaults(conf_part: ConfPart, option: str) -> None:
    make = conf_part(f"optimizer/{option}")
    rule, rate = reference(option, make)
    history = problem.trained([rule() for _ in problem.START], [rate] * problem.NUM_STEPS)
    assert problem.loss(history[-1]) < problem.loss(problem.START)
    assert_close(run(make())[0], history[-1])


@EVERY_OPTION
def test_hundred_steps_with_decay_clipping_averages_and_schedule(
    conf_part: ConfPart, option: str
) -> None:
    make = functools.partial(conf_part(f"optimizer/{option}"), weight_decay=0.1)
    rule, rate = reference(option, make)
    updates, rates = [rule() for _ in problem.START], [rate * factor for factor in RATES]
    clip = CLIPS["global_clipnorm"]
    history = problem.trained(updates, rates, clip)
    norms = [
        np.sqrt(sum((g**2).sum() for g in problem.gradients(weights, step + 1)))
        for step, weights in enumerate(history[:-1])
    ]
    assert min(norms) < 0.7 < max(norms), "clips all gradients or none"
    optimizer = make(
        learning_rate=Falling(rate), global_clipnorm=0.7, use_ema=True, ema_momentum=0.9
    )
    weights, averages = run(optimizer)
    assert_close(weights, history[-1])
    assert_close(averages, problem.average(history, 0.9))
