"""Worker processes that need not import TensorFlow each."""

import sys
from collections.abc import Iterator

import pytest

import ready_processes


@pytest.fixture(scope="module", autouse=True)
def _forked_workers() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    put_back = ready_processes.fork_what_is_spawned()
    yield
    put_back()
