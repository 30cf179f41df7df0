"""Fixtures of the tests of sweeps."""

import logging
import sys
from collections.abc import Iterator

import pytest

import ready_processes


@pytest.fixture(scope="module", autouse=True)
def _forked_workers() -> Iterator[None]:
    """Forks worker processes instead of spawning them, so that each need not import TensorFlow."""
    if sys.platform != "linux":
        yield
        return
    put_back = ready_processes.fork_what_is_spawned()
    yield
    put_back()


@pytest.fixture
def restored_log() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
