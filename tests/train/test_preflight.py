from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.losses import binary_crossentropy, crossentropy, hinge, mse
from expt.parts.metrics import mae
from expt.train.input.batch import Batch
from expt.train.objective import Objective
from expt.train.preflight import preflight, preserve_states

RANDOM = np.random.default_rng(0)
INPUTS = tf.constant(RANDOM.standard_normal((4, 3)), tf.float32)


def make_model(*layers: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])
    assert model.built
    return model


def check(model: Any, loss: Any = mse, num_outputs: int = 2, **metrics: Any) -> None:
    batch = Batch(INPUTS, tf.zeros((4, num_outputs)))
    objective = Objective(loss, metrics, tf.nn.relu)
    preflight(model, objective, batch, (4, num_outputs), "toy")


class Unused(keras.layers.Layer):  # type: ignore[misc]
    """A layer with a trainable variable that it does not use."""

    def build(self, input_shape: Any) -> None:
        del input_shape
        self.forgotten = self.add_weight(shape=(2,), name="forgotten")

    def call(self, inputs: Any) -> Any:
        return inputs


def test_parts_that_fit_pass() -> None:
    check(make_model())


def test_outputs_of_wrong_width_are_an_error() -> None:
    with pytest.raises(UserError, match=r"\(4, 2\); data=toy needs \(4, 5\)\."):
        check(make_model(), num_outputs=5)


def test_outputs_of_wrong_rank_are_an_error() -> None:
    model = make_model(keras.layers.RepeatVector(6))
    with pytest.raises(UserError, match=r"\(4, 6, 2\)"):
        check(model)


def test_loss_that_returns_the_mean_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"loss: it returned the shape \(\).*one value per example, \(4,"
    ):
        check(make_model(), lambda t, o: tf.reduce_mean(mse(t, o)))


def test_variable_without_gradient_is_named() -> None:
    with pytest.raises(UserError, match=r"does not depend on .*forgotten"):
        check(make_model(Unused(name="unused")))


def test_loss_that_stops_the_gradient_is_an_error() -> None:
    with pytest.raises(UserError, match=r"^loss: it has no gradient .* any weight"):
        check(make_model(), lambda t, o: mse(t, tf.stop_gradient(o)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_loss_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(UserError, match="loss: it is not finite"):
        check(make_model(), lambda t, o: mse(t, o) * value)


def test_metric_that_returns_several_numbers_is_named() -> None:
    check(make_model(), mae=mae)
    with pytest.raises(UserError, match=r"metric\.each: it returned the shape \(4,\).*one number"):
        check(make_model(), mae=mae, each=mse)


def test_metrics_receive_unchanged_outputs() -> None:
    least: list[float] = []

    def noted(targets: Any, outputs: Any) -> float:
        least.append(float(tf.reduce_min(outputs - targets)))
        return 0.0

    check(make_model(), noted=noted)
    assert least[0] < 0  # not those after the relu that makes predictions


def test_preflight_changes_no_variable() -> None:
    model = make_model(
        keras.layers.BatchNormalization(),
        keras.layers.GaussianNoise(1.0),
        keras.layers.Dense(8),
        keras.layers.Dropout(0.5),
    )
    before = {variable.path: variable.numpy() for variable in model.variables}
    assert sum("seed" in path for path in before) == 2
    check(model)
    for variable in model.variables:
        np.testing.assert_array_equal(variable.numpy(), before[variable.path])


def test_variables_are_restored_after_a_failure() -> None:
    model = make_model(keras.layers.BatchNormalization())
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(UserError):
        check(model, lambda t, o: mse(t, o) * np.nan)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_preserve_states_accepts_several_networks() -> None:
    networks = [make_model(keras.layers.BatchNormalization()) for _ in range(2)]
    before = [variable.numpy() for network in networks for variable in network.variables]
    with preserve_states(networks):
        for network in networks:
            network(INPUTS, training=True)
    after = [variable.numpy() for network in networks for variable in network.variables]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


ENDS: dict[str, Any] = {
    "an activation": lambda x, f: keras.layers.Dense(3, activation=f)(x),
    "a layer": lambda x, f: keras.layers.Activation(f)(keras.layers.Dense(3)(x)),
    "an operation": lambda x, f: getattr(keras.ops, f)(keras.layers.Dense(3)(x)),
    "a nested model": lambda x, f: keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, activation=f)]
    )(x),
}


def ending(end: str, function: str) -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, ENDS[end](inputs, function))


def check_classes(model: Any, loss: Any, link: str | None) -> None:
    batch = Batch(INPUTS, tf.constant([0, 1, 2, 1]))
    preflight(model, Objective(loss, {}, tf.nn.softmax, link), batch, (4, 3), "toy")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_probabilities_instead_of_logits_are_an_error(end: str, function: str, link: str) -> None:
    loss = {"softmax": crossentropy, "sigmoid": binary_crossentropy}[link]
    with pytest.raises(UserError, match=rf"ends in a {function}, and the loss applies a {link} "):
        check_classes(ending(end, function), loss, link)
    check_classes(ending(end, function), hinge, None)  # takes any scores
    check_classes(ending(end, "relu"), loss, link)


def test_softmax_before_other_layers_is_found() -> None:
    inputs = keras.Input((3,))
    hidden = keras.layers.Reshape((3,))(keras.layers.Softmax()(keras.layers.Dense(3)(inputs)))
    with pytest.raises(UserError, match="ends in a softmax"):
        check_classes(keras.Model(inputs, hidden), crossentropy, "softmax")


@pytest.mark.parametrize("initializer", ["zeros", "glorot_uniform"])
def test_equal_logits_pass(initializer: str) -> None:
    layer = keras.layers.Dense(3, kernel_initializer=initializer)
    check_classes(keras.Sequential([keras.Input((3,)), layer]), crossentropy, "softmax")


def test_outputs_of_dead_units_pass() -> None:
    dead = keras.layers.Dense(
        4, activation="relu", bias_initializer=keras.initializers.Constant(-9)
    )
    check(make_model(dead))


def test_metric_without_weights_is_noted() -> None:
    batch = Batch(INPUTS, tf.zeros((4, 2)), tf.ones(4))
    given = {"mae": mae, "mine": lambda t, o: tf.reduce_mean(o - t)}
    notes = preflight(make_model(), Objective(mse, given, tf.identity), batch, (4, 2), "toy")
    assert notes == [
        "metric.mine ignores the weights of the examples: it has no argument `weights`."
    ]
    assert check_notes(given) == []


def check_notes(given: Any) -> list[str]:
    """Returns the notes for a batch without weights."""
    batch = Batch(INPUTS, tf.zeros((4, 2)))
    return preflight(make_model(), Objective(mse, given, tf.identity), batch, (4, 2), "toy")


def test_loss_weights_of_wrong_shape_are_an_error() -> None:
    with pytest.raises(UserError, match=r"loss: it returned weights of the shape \(\)"):
        check(make_model(), lambda t, o: (mse(t, o), tf.constant(1.0)))
