import pytest

from expt.train.backend import start_tensorflow


@pytest.fixture(autouse=True)
def started() -> None:
    """Starts every test from the same state, whatever ran before it."""
    start_tensorflow(seed=0)
