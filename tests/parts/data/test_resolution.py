"""Values that float32 can't resolve are refused by name, unless they are standardized first."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.mapped import MappedInputs
from expt.parts.data.resolution import check_resolution

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((200, 3))


def dataset(inputs: Any, targets: NDArray[Any]) -> Dataset:
    split = Split(inputs, targets)
    return Dataset("toy", "regression", split, split, split, batch_size=8)


@pytest.mark.parametrize("which", ["inputs", "targets"])
@pytest.mark.parametrize(
    ("values", "is_lost"),
    [
        (NORMAL, False),
        (NORMAL * 1e-30, False),
        (NORMAL * 1e30, False),
        (NORMAL * 10 + 2_000, False),  # years
        (NORMAL * 1e4 + 1.7e12, True),  # milliseconds since 1970
        (NORMAL * 1e-50, True),
        (NORMAL * 1e50, True),
        (np.full((200, 3), 0.1), False),  # a constant has no spread to lose
        (np.full((200, 3), 1.7e12 + 0.3), False),
        (np.full((200, 3), 1e50), True),
    ],
)
def test_features_that_float32_cannot_resolve_are_found(
    which: Literal["inputs", "targets"], values: NDArray[np.float64], is_lost: bool
) -> None:
    data = dataset(values, NORMAL) if which == "inputs" else dataset(NORMAL, values)
    if is_lost:
        with pytest.raises(UserError, match=r"rounding to float32 .* data\.standardize"):
            check_resolution(data, which)
    else:
        check_resolution(data, which)


def test_the_columns_are_named() -> None:
    inputs = NORMAL + np.array([0, 1.7e12, 0])
    named = replace(dataset(inputs, NORMAL), feature_names=("a", "time", "b"))
    with pytest.raises(UserError, match=r"inputs 'time' can't"):
        check_resolution(named, "inputs")
    with pytest.raises(UserError, match=r"inputs number 2 can't"):
        check_resolution(dataset(inputs, NORMAL), "inputs")
    with pytest.raises(UserError, match=r"target number 2 can't"):
        check_resolution(dataset(NORMAL, inputs), "targets")
    with pytest.raises(UserError, match=r"the target can't"):
        check_resolution(dataset(NORMAL, inputs[:, 1:2]), "targets")


def test_a_stream_is_checked_too() -> None:
    array = NORMAL + 1.7e12
    stream = MappedInputs(array, np.arange(200), dtype=np.dtype(np.float64))
    with pytest.raises(UserError, match="number 1, number 2, number 3"):
        check_resolution(dataset(stream, NORMAL), "inputs")
