import pytest

from expt.train.backend import start_tensorflow


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    """Starts TensorFlow as the command does."""
    start_tensorflow(seed=0)
