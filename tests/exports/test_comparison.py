import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from exports.export_helpers import (
    DEVIATION,
    FORMATS,
    MEAN,
    READERS,
    Array,
    cnn,
    inputs_for,
    table,
    transformer,
)
from expt.errors import RunError, UserError
from expt.exports.comparison import describe_difference, in_float32, largest_difference
from expt.parts.data.scale import Scale
from expt.parts.models.links import with_link
from expt.parts.models.standardization import with_standardization

layers = keras.layers


def outputs_of(model: keras.Model) -> Callable[[Array], Array]:
    return lambda inputs: np.asarray(model(inputs, training=False))


def test_difference_is_relative_and_the_largest_of_two_batch_sizes() -> None:
    model, sizes = cnn(), []

    def exported(inputs: Array) -> Array:
        sizes.append(len(inputs))
        outputs = outputs_of(model)(inputs).copy()
        outputs[-1, 3] += 1e-5 * len(inputs) * np.abs(outputs).max()
        return outputs

    assert largest_difference(model, exported) == pytest.approx(5e-5, rel=0.02)
    assert sizes == [1, 5]


@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_other_outputs_are_refused(factor: float) -> None:
    model = table()
    with pytest.raises(RunError, match=r"differ from the model's by (0\.0\d+|nan)"):
        largest_difference(model, lambda inputs: outputs_of(model)(inputs) * factor)


def test_outputs_of_a_different_shape_are_refused() -> None:
    model = table()
    with pytest.raises(RunError, match=r"shape \(1, 1\), the model's \(1, 2\)"):
        largest_difference(model, lambda inputs: outputs_of(model)(inputs)[:, :1])


def test_an_export_that_fails_is_refused() -> None:
    with pytest.raises(RunError, match=r"fails on 1 inputs: .*reshape"):
        largest_difference(table(), lambda inputs: inputs.reshape(3, 2))


def drawn(model: keras.Model) -> Array:
    """Returns all inputs on which a model is compared."""
    seen: list[Array] = []

    def exported(inputs: Array) -> Array:
        seen.append(inputs)
        return outputs_of(model)(inputs)

    assert largest_difference(model, exported) == 0
    return np.concatenate(seen)


def test_inputs_are_drawn_from_the_training_distribution() -> None:
    normal = (drawn(table()) - MEAN) / DEVIATION
    assert normal.shape == (6, 4)
    assert 0.5 < normal.std() < 1.5
    assert np.abs(normal.mean()) < 1
    assert len(np.unique(normal)) == normal.size


def test_inputs_without_a_scale_are_drawn_from_0_to_1() -> None:
    pixels = drawn(cnn())
    assert pixels.shape == (6, 8, 8, 1)
    assert 0 <= pixels.min() < 0.1 < 0.9 < pixels.max() <= 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("make", [table, cnn, transformer], ids=lambda make: make.__name__)
def test_mixed_precision_model_becomes_float32(
    make: Callable[[], keras.Model], policy: str
) -> None:
    expected = make()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        mixed = make()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    mixed.set_weights(expected.get_weights())
    assert mixed.layers[-2].compute_dtype == policy.removeprefix("mixed_")
    model, inputs = in_float32(mixed), inputs_for(expected, 5)
    np.testing.assert_array_equal(outputs_of(model)(inputs), outputs_of(expected)(inputs))
    assert np.any(outputs_of(mixed)(inputs) != outputs_of(expected)(inputs))


@pytest.mark.parametrize("name", FORMATS)
def test_export_of_a_mixed_precision_model_is_float32(name: str, tmp_path: Path) -> None:
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = in_float32(cnn())
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    FORMATS[name].write(model, tmp_path / "export")
    inputs = inputs_for(model, 3)
    outputs = READERS[name](tmp_path / "export")(inputs)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, outputs_of(model)(inputs), rtol=1e-5, atol=1e-4)


def test_float32_model_is_returned_unchanged() -> None:
    model = table()
    assert in_float32(model) is model


def test_large_difference_is_explained() -> None:
    model = with_link(cnn(), "softmax")
    outputs = outputs_of(model)
    same = "largest relative difference from the run's predictions: 0.0e+00"
    assert describe_difference(model, model, outputs) == same
    text = describe_difference(model, model, lambda inputs: outputs(inputs) * (1 + 5e-5))
    assert re.fullmatch(r".*: 5\.\de-05\nmore than 1e-05: .* rounds .*", text)


def test_rounding_of_a_mixed_precision_run_is_reported() -> None:
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        saved = with_link(cnn(), None)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    model = in_float32(saved)
    first, second = describe_difference(saved, model, outputs_of(model)).splitlines()
    assert first == "largest relative difference from the run's model in float32: 0.0e+00"
    rounded = float(re.findall(r"a relative difference of up to (\S+)$", second)[0])
    assert 1e-4 < rounded < 0.1


def test_float32_may_round_values_around_a_large_mean() -> None:
    """TensorFlow Lite cannot avoid it; the other formats can."""
    network = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model = with_standardization(network, None, Scale(np.array([1e4]), np.array([1.0])))

    def rounded(inputs: Array) -> Array:
        return outputs_of(model)(inputs).astype(np.float32).astype(np.float64)

    assert 1e-4 < largest_difference(model, rounded, has_float32_inputs=True) < 1e-3
    assert "more than 1e-05" in describe_difference(model, model, rounded, has_float32_inputs=True)
    with pytest.raises(RunError, match=r"0\.0001 is accepted"):
        largest_difference(model, rounded)


class Own(keras.Model):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return inputs


def test_model_without_known_inputs_is_refused() -> None:
    with pytest.raises(UserError, match=r"model: Own can't be exported; expected a functional"):
        in_float32(Own())


def test_model_with_two_outputs_is_refused() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(2)(inputs)])
    with pytest.raises(UserError, match="one input and one output"):
        in_float32(model)
