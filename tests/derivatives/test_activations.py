import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.config.location import options
from expt.config.options import compose_options
from expt.derivatives import closed_forms
from expt.derivatives.activations import differentiate_activation
from expt.derivatives.closed_forms import find_closed_form
from expt.derivatives.tapes import midpoints, nested_derivatives

JOBS = compose_options({"act": options("act")})["act"]


@pytest.mark.parametrize("option", options("act"))
def test_tapes_agree_with_closed_forms(option: str, dtype: str, tolerance: float) -> None:
    result = differentiate_activation(option, JOBS[option], dtype)
    assert result.closed_form is not None, f"add the closed form of conf/act/{option}.yaml"
    first, second = result.differences
    assert first is not None
    assert first.largest <= tolerance
    # TensorFlow has no gradient of its operation SoftsignGrad.
    assert (second is None) == (option == "softsign")
    assert second is None or second.largest <= tolerance
    assert result.first.dtype == dtype
    assert (result.x.min(), result.x.max()) == pytest.approx((-6, 6), abs=0.02)


@pytest.mark.parametrize("name", closed_forms._FUNCTIONS)
def test_closed_forms_of_all_functions(name: str, dtype: str, tolerance: float) -> None:
    """Those of Keras that no option uses can be in a user's config."""
    layer = keras.layers.Activation(name)
    form = find_closed_form(layer)
    assert form is not None
    x = tf.constant(midpoints(-6, 6, 480), dtype)
    _, *found = nested_derivatives(layer, x)
    for derivative, expected in zip(
        found, form.derivatives(np.asarray(x, np.float64)), strict=True
    ):
        # exp(6) is 403, so that the tolerance is relative above 1.
        if derivative is not None:
            np.testing.assert_allclose(derivative, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", closed_forms._FUNCTIONS)
def test_closed_forms_are_the_slopes_of_the_function(name: str) -> None:
    """Central differences, whose error is of the order of h², know nothing of tapes."""
    form = closed_forms._FUNCTIONS[name]
    x, h = midpoints(-6, 6, 120), 1e-4
    value = keras.layers.Activation(name, dtype="float64")
    slope = (np.asarray(value(x + h)) - np.asarray(value(x - h))) / (2 * h)
    first, second = form.derivatives(x)
    np.testing.assert_allclose(first, slope, rtol=1e-6, atol=1e-6)
    curvature = (form.derivatives(x + h)[0] - form.derivatives(x - h)[0]) / (2 * h)
    np.testing.assert_allclose(second, curvature, rtol=1e-6, atol=1e-6)


def test_kinks_are_not_on_the_grid_and_their_derivatives_are_reported() -> None:
    result = differentiate_activation("relu6", JOBS["relu6"], "float32")
    assert not np.isin(result.x, (0, 6)).any()
    assert result.at_kinks == {0.0: (0.0, 0.0), 6.0: (0.0, 0.0)}
    assert differentiate_activation("tanh", JOBS["tanh"], "float32").at_kinks == {}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (keras.layers.ReLU(negative_slope=0.5), (0.5, 1.0)),
        (keras.layers.LeakyReLU(negative_slope=0.25), (0.25, 1.0)),
        (keras.layers.ELU(alpha=2.0), (2 * np.exp(-1), 1.0)),
        (keras.layers.ReLU(threshold=1.0), None),
        (keras.layers.Activation(lambda x: x), None),
        (keras.layers.Softmax(), None),
    ],
)
def test_arguments_of_layers(layer: keras.Layer, expected: tuple[float, float] | None) -> None:
    form = find_closed_form(layer)
    found = None if form is None else tuple(form.derivatives(np.array([-1.0, 1.0]))[0])
    assert found == (None if expected is None else pytest.approx(expected))
