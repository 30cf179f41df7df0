from typing import Any

import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.data.synthetic import Linear


def make(**changes: Any) -> Linear:
    arguments: dict[str, Any] = {
        "weights": [1.477],
        "bias": 0.089,
        "noise": 0.01,
        "num_examples": 1000,
        "batch_size": 32,
    }
    return Linear(**{**arguments, **changes})


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("weights", [[1.477], [2.0, -3.0, 0.5]])
def test_least_squares_recovers_weights_and_bias(weights: list[float], noise: float) -> None:
    dataset = make(weights=weights, noise=noise).load()
    for _, split in dataset.splits():
        design = np.column_stack([split.first(len(split)), np.ones(len(split))]).astype(np.float64)
        solution, *_ = np.linalg.lstsq(design, split.targets[:, 0])
        # The standard error of each coefficient, since inputs have the variance 1.
        deviation = noise / np.sqrt(len(split))
        np.testing.assert_allclose(solution, [*weights, 0.089], atol=5 * deviation + 1e-5)
        errors = design @ [*weights, 0.089] - split.targets[:, 0]
        assert errors.std() == pytest.approx(noise, rel=0.2, abs=1e-6)


def test_shapes() -> None:
    source = make(weights=[1.0, 2.0], num_examples=200)
    dataset = source.load()
    assert source.task == dataset.task == "regression"
    assert (dataset.name, dataset.input_shape, dataset.num_outputs) == ("linear", (2,), 1)
    assert [len(split) for _, split in dataset.splits()] == [140, 30, 30]
    for _, split in dataset.splits():
        assert split.first(1).dtype == np.float32
        assert split.targets.dtype == np.float64
    inputs = np.concatenate([split.inputs for _, split in dataset.splits()])
    # No point is in two splits.
    assert len(np.unique(inputs, axis=0)) == 200
    assert np.abs(inputs.mean(axis=0)).max() < 0.3
    assert inputs.std() == pytest.approx(1, rel=0.2)


def test_points_depend_only_on_split_seed() -> None:
    first = make(split_seed=4).load().fingerprint
    # NumPy's global generator must not influence the points.
    np.random.seed(123)
    assert make(split_seed=4).load().fingerprint == first
    assert make(split_seed=5).load().fingerprint != first


@pytest.mark.parametrize(
    "changes", [{"num_examples": 9}, {"weights": []}, {"noise": -0.1}, {"batch_size": 701}]
)
def test_invalid_options_are_reported(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(changes))}="):
        make(**changes).load()


def test_ten_examples_are_enough() -> None:
    assert len(make(num_examples=10, batch_size=1).load().validation) >= 1
