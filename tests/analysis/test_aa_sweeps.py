"""Tests of the simulation in scripts/aa_sweeps.py, with few tables."""

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "aa_sweeps.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("is_paired", [True, False])
def test_equal_variants_are_rarely_declared_worse(script: dict[str, Any], is_paired: bool) -> None:
    shape = script["Shape"](10, 3, is_paired)
    uncorrected, corrected = script["declared"](shape, 100, seed=0)
    assert uncorrected > 0.25
    assert corrected <= 0.05


def test_a_worse_variant_is_found(script: dict[str, Any]) -> None:
    shape = script["Shape"](5, 5, True, worse_by=5.0)
    assert script["declared"](shape, 50, seed=0)[1] > 0.9


def test_all_kinds_of_noise_can_be_simulated(script: dict[str, Any]) -> None:
    for noise in script["NOISES"]:
        shape = script["Shape"](3, 2, True, noise)
        uncorrected, corrected = script["declared"](shape, 5, seed=0)
        assert 0 <= corrected <= uncorrected <= 1


def test_main_prints_the_tables(script: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert script["main"](["--tables", "2"]) == 0
    text = capsys.readouterr().out
    assert "| normal, 10 variants, n = 3 | paired |" in text
    assert "| 20 | 10 | 2 std | unpaired |" in text
