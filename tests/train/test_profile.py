from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.train.profile import profiled


def traces(directory: Path) -> list[Path]:
    return list(directory.glob("plugins/profile/*/*"))


class Blocks:
    """Runs nothing; keeps what it was asked for, and whether a trace was there by then."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        self.asked.append((first, len(indices)))
        return {"loss": indices[:, 0].astype(np.float32)}


INDICES = np.arange(30, dtype=np.int32)[:, None]


def test_some_steps_are_traced_once_and_not_the_first_ones(tmp_path: Path) -> None:
    blocks = Blocks()
    run = profiled(blocks, 3, tmp_path)
    run(0, INDICES[:8])
    assert traces(tmp_path) == []
    rows = run(8, INDICES[8:18])
    assert rows["loss"].tolist() == [8.0, 9.0, 10.0]
    found = traces(tmp_path)
    assert any(path.name.endswith(".xplane.pb") for path in found)
    rows = run(11, INDICES[11:21])
    assert len(rows["loss"]) == 10
    assert blocks.asked == [(0, 8), (8, 3), (11, 10)]
    assert traces(tmp_path) == found


def test_a_block_that_is_too_short_is_not_the_one(tmp_path: Path) -> None:
    """It is the first block of at least so many steps that is traced."""
    run = profiled(Blocks(), 5, tmp_path)
    run(0, INDICES[:8])
    run(8, INDICES[8:9])
    assert traces(tmp_path) == []
    run(9, INDICES[9:20])
    assert traces(tmp_path) != []


@pytest.mark.parametrize("num_steps", [1, 8])
def test_a_block_of_just_so_many_is_traced(tmp_path: Path, num_steps: int) -> None:
    run = profiled(Blocks(), num_steps, tmp_path)
    run(0, INDICES[:1])
    assert len(run(1, INDICES[1 : 1 + num_steps])["loss"]) == num_steps
    assert traces(tmp_path) != []
