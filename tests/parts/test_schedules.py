import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expt.parts import schedules

ConfPart = Callable[[str], functools.partial[Any]]


@pytest.mark.parametrize("final_fraction", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("step", [0, 1, 37, 100, 150, 199, 200])
def test_cosine(step: int, final_fraction: float) -> None:
    schedule = schedules.cosine(0.3, 200, final_fraction=final_fraction)
    cosine = (1 + np.cos(np.pi * step / 200)) / 2
    expected = 0.3 * (final_fraction + (1 - final_fraction) * cosine)
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_cosine_stays_at_its_end() -> None:
    schedule = schedules.cosine(0.3, 200, final_fraction=0.1)
    assert float(schedule(500)) == pytest.approx(0.03)


@pytest.mark.parametrize("learning_rate", [0.1, 0.001])
@pytest.mark.parametrize("total_steps", [1, 1000])
def test_constant(learning_rate: float, total_steps: int) -> None:
    assert schedules.constant(learning_rate, total_steps) == learning_rate


def test_options_take_what_the_framework_supplies(conf_part: ConfPart) -> None:
    supplied = {"learning_rate": 0.2, "total_steps": 50}
    assert conf_part("schedule/constant")(**supplied) == 0.2
    cosine = conf_part("schedule/cosine")(**supplied)
    rates = [float(cosine(step)) for step in (0, 25, 50)]
    np.testing.assert_allclose(rates, [0.2, 0.1, 0.0], atol=1e-8)
