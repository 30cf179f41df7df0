"""Raw arrays are converted to the same inputs as in training, or refused."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.preparation import ArrayPreparation, exact_float32, summarize, to_inputs

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1))
FRACTIONS = (PIXELS / 255).astype(np.float32)


def prepared(train: NDArray[Any], divisor: float, given: NDArray[Any]) -> NDArray[Any]:
    """Converts arrays by the preparation that a run trained on others has recorded."""
    # Through JSON, as in run.json.
    recorded = json.loads(json.dumps(ArrayPreparation(divisor, summarize(train)).to_mapping()))
    known = ArrayPreparation.from_mapping(recorded)
    return to_inputs(given, known.divisor_for(summarize(given), has_images=given.ndim > 2))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_the_same_pixels_of_any_type_are_the_same_inputs(dtype: str) -> None:
    given = PIXELS.astype(dtype)
    np.testing.assert_array_equal(prepared(PIXELS.astype(np.uint8), 255.0, given), FRACTIONS)
    np.testing.assert_array_equal(prepared(PIXELS, 1.0, given), PIXELS)


def test_fractions_are_unchanged() -> None:
    np.testing.assert_array_equal(prepared(PIXELS.astype(np.uint8), 255.0, FRACTIONS), FRACTIONS)
    np.testing.assert_array_equal(prepared(FRACTIONS, 1.0, FRACTIONS[:3]), FRACTIONS[:3])


def test_black_images_are_black_whatever_their_type() -> None:
    for dtype in ("uint8", "int64", "float32"):
        black: NDArray[Any] = np.zeros((2, 4, 4, 1), dtype)
        assert not prepared(PIXELS.astype(np.uint8), 255.0, black).any()


DIGITS = np.arange(17.0).repeat(4).reshape(17, 2, 2, 1)  # levels from 0 to 16 in float64


def test_levels_of_other_data_sets_have_their_own_maximum() -> None:
    np.testing.assert_array_equal(prepared(DIGITS, 16.0, DIGITS.astype(np.uint8)), DIGITS / 16)
    np.testing.assert_array_equal(prepared(DIGITS, 16.0, DIGITS / 16), DIGITS / 16)
    np.testing.assert_array_equal(prepared(DIGITS, 16.0, PIXELS.astype(np.uint8)), FRACTIONS)


# By name: the training's raw arrays, their divisor, and the arrays that are refused.
AMBIGUOUS: dict[str, tuple[Any, float, Any]] = {
    "16 bits": (PIXELS.astype(np.uint8), 255.0, (PIXELS * 257).astype(np.uint16)),
    "dark 16 bits": (PIXELS.astype(np.uint8), 255.0, PIXELS.astype(np.uint16)),
    "zeros and ones": (PIXELS.astype(np.uint8), 255.0, np.eye(4)[None, :, :, None]),
    "fractions above 1": (PIXELS.astype(np.uint8), 255.0, PIXELS * 0.5 + 0.25),
    "negative": (PIXELS.astype(np.uint8), 255.0, PIXELS - 128),
    "Booleans": (PIXELS.astype(np.uint8), 255.0, PIXELS > 9),
    "32 bits for 16 levels": (DIGITS, 16.0, PIXELS.astype(np.uint32)),
    "fractions for whole numbers": (PIXELS, 1.0, FRACTIONS),
    "16 bits for whole numbers": (PIXELS, 1.0, (PIXELS * 257).astype(np.uint16)),
    "whole numbers for fractions": (FRACTIONS, 1.0, PIXELS.astype(np.uint8)),
    "larger floats for fractions": (FRACTIONS, 1.0, PIXELS.astype(np.float32)),
    "whole numbers for standardized ones": (FRACTIONS - 0.5, 1.0, PIXELS),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_values_are_refused(case: str) -> None:
    train, divisor, given = AMBIGUOUS[case]
    with pytest.raises(UserError, match=r"inputs are \w+ from .* trained on \w+ from .* Expected"):
        prepared(train, divisor, given)


def test_numbers_of_a_table_are_unchanged() -> None:
    # New rows of a table may have any range and type.
    table = np.random.default_rng(1).normal(size=(30, 3))
    others: list[NDArray[Any]] = [np.eye(3), np.full((2, 3), 1e9), np.ones((1, 3), np.int8)]
    others.append(np.ones((1, 3), bool))
    for given in others:
        np.testing.assert_array_equal(prepared(table, 1.0, given), given)


@pytest.mark.parametrize(
    ("train", "divisor", "factor"),
    [(PIXELS.astype(np.uint8), 255.0, 1.0), (PIXELS, 1.0, 255.0), (FRACTIONS, 1.0, 1.0)],
)
def test_pixels_of_files_are_on_the_scale_of_the_arrays(
    train: NDArray[Any], divisor: float, factor: float
) -> None:
    assert ArrayPreparation(divisor, summarize(train)).pixel_scale() == factor


def test_pixels_of_files_are_refused_if_the_scale_is_unknown() -> None:
    # From -1 to 1, of 16 bits, and Boolean.
    for train in (FRACTIONS * 2 - 1, PIXELS * 257, PIXELS > 9):
        with pytest.raises(UserError, match=r"so it is ambiguous which of these values the pixels"):
            ArrayPreparation(1.0, summarize(train)).pixel_scale()


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"divisor": "many", "trained_on": {}},
        {"divisor": 1.0},
        {
            "divisor": 1.0,
            "trained_on": {"dtype": "no type", "least": 0, "most": 1, "is_whole": True},
        },
    ],
)
def test_damaged_record_is_a_user_error(mapping: dict[str, Any]) -> None:
    expected = r"^run\.json is damaged: its data\.preparation is invalid \((Key|Type|Value)Error\("
    with pytest.raises(UserError, match=expected):
        ArrayPreparation.from_mapping(mapping)


def test_float32_is_used_where_it_is_exact() -> None:
    exact: list[NDArray[Any]] = [np.arange(5), np.array([0.5, 1e10]), np.array([True])]
    for array in exact:
        assert exact_float32(array).dtype == np.float32
    # Rounded, one above 2^24, and beyond the range.
    inexacts: list[NDArray[Any]] = [np.array([0.1]), np.array([2**24 + 1]), np.array([1e39])]
    for inexact in inexacts:
        converted = exact_float32(inexact)
        assert converted.dtype == np.float64
        np.testing.assert_array_equal(converted, inexact)


ROWS = PIXELS.astype(np.uint8).reshape(20, 16)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float32", "float64"])
def test_rows_of_pixels_may_have_any_dtype(dtype: str) -> None:
    np.testing.assert_array_equal(prepared(ROWS, 1.0, ROWS.astype(dtype)), ROWS)


def test_rows_of_pixels_are_not_mistaken_for_fractions() -> None:
    others: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (ROWS, ROWS / 255),
        (ROWS / 255, ROWS),
        (ROWS.astype(np.int64), ROWS / 255),
        (ROWS / 255, ROWS.astype(np.float32)),
        (ROWS, ROWS.astype(np.uint16) * 257),
    ]
    for train, given in others:
        with pytest.raises(
            UserError, match=r"inputs are \w+ from .* trained on \w+ from .* Expected"
        ):
            prepared(train, 1.0, given)
