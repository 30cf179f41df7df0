import pytest

from expt.train.backend import start_tensorflow


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    """Starts TensorFlow as a run does: deterministic, and in float32 whatever ran before."""
    start_tensorflow(seed=0)
