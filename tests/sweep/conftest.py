"""Fixtures of the tests of sweeps."""

import logging
from collections.abc import Iterator

import pytest


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
