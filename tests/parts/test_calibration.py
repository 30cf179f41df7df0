"""Calibration of the classification losses, on synthetic data whose probabilities are known.

All examples have the same inputs, so the best model returns one vector of logits. Predictions that
a loss declares to be probabilities must then equal the shares of the classes.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray
from scipy.optimize import minimize

from expt.config.instantiate import bind_part
from expt.config.location import config_directory, options
from expt.config.outputs import model_outputs
from expt.parts.models.links import link_function
from expt.train.input.batch import mean_loss

SHARES = ([0.8, 0.2], [0.182, 0.818], [0.6, 0.3, 0.1], [0.45, 0.05, 0.35, 0.15])


def node(name: str) -> dict[str, Any]:
    text = (config_directory() / "loss" / f"{name}.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


LOSSES = {
    name: loss for name in options("loss") if "classification" in (loss := node(name))["_tasks_"]
}
# Options with which the best predictions differ from the shares, or equal them again.
CHANGED: list[tuple[str, dict[str, Any]]] = [
    ("crossentropy", {"label_smoothing": 0.1}),
    ("binary_crossentropy", {"label_smoothing": 0.1}),
    ("kl", {"label_smoothing": 0.1}),
    ("huber", {"delta": 0.3}),
    ("focal", {"gamma": 0.0}),
    ("crossentropy", {"class_weights": [1.0, 3.0, 1.0, 1.0]}),
]


def best_predictions(loss: dict[str, Any], shares: list[float]) -> NDArray[np.float64]:
    """The predictions with the lowest mean loss over examples with these shares of classes."""
    if loss.get("class_weights") is not None:
        loss = loss | {"class_weights": loss["class_weights"][: len(shares)]}
    function, classes = bind_part(loss, "loss"), tf.range(len(shares))

    def value_and_gradient(logits: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        watched = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(watched)
            values = function(classes, tf.tile(watched[None], (len(shares), 1)))
            mean = mean_loss(values, tf.constant(shares, tf.float64))
        return float(mean), tape.gradient(mean, watched).numpy()

    start = np.linspace(0.1, -0.1, len(shares))
    options = {"gtol": 1e-9, "maxiter": 500}
    found = minimize(value_and_gradient, start, jac=True, method="BFGS", options=options)
    link = model_outputs(loss, "classification").link
    predictions: NDArray[np.float64] = np.asarray(link_function(link)(found.x[None]))[0]
    return predictions


@pytest.mark.parametrize("shares", SHARES, ids=str)
@pytest.mark.parametrize(("name", "changes"), [*((name, {}) for name in LOSSES), *CHANGED], ids=str)
def test_declared_probabilities_are_calibrated(
    name: str, changes: dict[str, Any], shares: list[float]
) -> None:
    loss = LOSSES[name] | changes
    found = best_predictions(loss, shares)
    if model_outputs(loss, "classification").kind == "probability":
        np.testing.assert_allclose(found, shares, atol=1e-4)
    else:  # a calibrated loss must not be declared as a score
        assert np.abs(found - shares).max() > 0.004
