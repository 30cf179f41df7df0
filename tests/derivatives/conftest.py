from collections.abc import Iterator

import pytest

from expt.train.backend import start_tensorflow

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""The largest difference from a closed form that is allowed in a type."""


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    """A type, of which Keras' layers are for the length of a test."""
    start_tensorflow(0, request.param)
    yield request.param
    start_tensorflow(0)


@pytest.fixture
def tolerance(dtype: str) -> float:
    return TOLERANCE[dtype]
