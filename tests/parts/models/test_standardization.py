"""Models map raw values of any scale to values in the targets' unit."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.scale import Scale
from expt.parts.models.standardization import get_scales, in_single_precision, with_standardization

NORMAL = np.random.default_rng(0).standard_normal((50, 2))
# The same values in other units and around other means, as far as float64 resolves them.
UNITS = [(1.0, 0.0), (1e-30, 0.0), (1e-12, 3e-12), (1e20, 0.0), (1e30, -1e31), (1e4, 1.7e12)]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)]
    )


def in_units(values: NDArray[Any], factor: float, offset: float) -> NDArray[np.float64]:
    return np.asarray(values * np.array([factor, 1.0]) + np.array([offset, 0.0]))


@pytest.mark.parametrize(("factor", "offset"), UNITS)
def test_change_of_unit_changes_only_the_unit(tmp_path: Path, factor: float, offset: float) -> None:
    plain = with_standardization(network(), Scale.fit(NORMAL), Scale.fit(NORMAL))
    expected = np.asarray(plain(NORMAL))
    values = in_units(NORMAL, factor, offset)
    model = with_standardization(network(), Scale.fit(values), Scale.fit(values))
    model.save(tmp_path / "model.keras")
    for one in (model, keras.saving.load_model(tmp_path / "model.keras")):
        outputs = np.asarray(one(values))
        assert outputs.dtype == np.float64
        found = (outputs - np.array([offset, 0.0])) / np.array([factor, 1.0])
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_constant_feature_is_shifted_only() -> None:
    values = np.column_stack([np.full(50, 0.1), NORMAL[:, 1]])
    scale = Scale.fit(values)
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
    outputs = np.asarray(with_standardization(inner, scale, None)(values))
    assert not outputs[:, 0].any()
    np.testing.assert_allclose(outputs[:, 1], (NORMAL[:, 1] - scale.mean[1]) / scale.deviation[1])


def test_the_scales_can_be_read_back(tmp_path: Path) -> None:
    of_inputs, of_outputs = (
        Scale.fit(in_units(NORMAL, factor, offset)) for factor, offset in (UNITS[2], UNITS[5])
    )
    model = with_standardization(network(), of_inputs, of_outputs)
    model.save(tmp_path / "model.keras")
    found = get_scales(keras.saving.load_model(tmp_path / "model.keras"))
    for scale, expected in zip(found, (of_inputs, of_outputs), strict=True):
        assert scale is not None
        np.testing.assert_allclose(scale.mean, expected.mean, rtol=1e-15)
        np.testing.assert_allclose(scale.deviation, expected.deviation, rtol=1e-15)
    assert get_scales(network()) == (None, None)


@pytest.mark.parametrize(("factor", "offset"), [*UNITS[:4], (10.0, 2000.0), (5.0, -3000.0)])
def test_single_precision_is_close_where_float32_represents_the_values(
    factor: float, offset: float
) -> None:
    values = in_units(NORMAL, factor, offset).astype(np.float32).astype(np.float64)
    model = with_standardization(network(), Scale.fit(values), Scale.fit(values))
    single = in_single_precision(model)
    assert single.inputs[0].dtype == single.outputs[0].dtype == "float32"
    scale = Scale.fit(values).deviation
    difference = np.asarray(single(values), np.float64) - np.asarray(model(values))
    np.testing.assert_allclose(difference / scale, 0, atol=1e-4)


@pytest.mark.parametrize(("factor", "offset"), [(1e4, 1.7e12), (1e-45, 0.0), (1e39, 0.0)])
def test_single_precision_is_refused_where_differences_are_lost(
    factor: float, offset: float
) -> None:
    scale = Scale.fit(in_units(NORMAL, factor, offset))
    for what, scales in (("input", (scale, None)), ("output", (None, scale))):
        with pytest.raises(UserError, match=f"{what} number 1 has the mean .* float64"):
            in_single_precision(with_standardization(network(), *scales))
