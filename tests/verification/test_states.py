from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.train.checkpoint import Checkpoint, read_checkpoint
from expt.verification import states
from expt.verification.states import (
    CallbackCheckpointWriter,
    StateLog,
    first_difference,
    read_states,
)

OTHER, NOISE = "network 1/0000 other/kernel", "random/0000 noise/state"
ARRAYS: dict[str, Any] = {
    "network 0/0000 dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "network 0/0001 seed/state": np.array([1, 2], np.uint32),
    OTHER: np.zeros(2, np.float32),
    NOISE: np.array([1, 2], np.uint32),
    "optimizer 0/0000 adam/iteration": np.array(3),
    "best 0/0000": np.zeros((2, 3), np.float32),
}


def checkpoint(step: int, changes: Mapping[str, Any] = {}, best: float = 0.0) -> Checkpoint:
    arrays = {**ARRAYS, **changes}
    stopping = {"lowest_loss": float("nan"), "seconds": np.random.default_rng().random()}
    facts = {"stopping": stopping, "best": {"val/loss": best}, "identity": {}, "progress": {}}
    return Checkpoint(step, None, arrays, facts)


def keep(folder: Path, *checkpoints: Checkpoint) -> Path:
    folder.mkdir()
    log = StateLog(folder)
    for each in checkpoints:
        log.add(each)
    return folder


@pytest.fixture
def expected(tmp_path: Path) -> Path:
    return keep(tmp_path / "expected", *map(checkpoint, (1, 2, 3)))


def test_equal_states_have_no_difference(tmp_path: Path, expected: Path) -> None:
    other = keep(tmp_path / "other", checkpoint(2), checkpoint(3))
    assert first_difference(expected, other) is None
    assert read_states(other).keys() == {2, 3}


def test_the_first_step_and_tensor_that_differ_are_named(tmp_path: Path, expected: Path) -> None:
    name = "optimizer 0/0000 adam/iteration"
    changed = np.array([[0, 1, 2], [3.25, 4, 6]], np.float32)
    wrong = checkpoint(2, {name: np.array(9), "network 0/0000 dense/kernel": changed})
    other = keep(tmp_path / "other", checkpoint(1), wrong, checkpoint(3, {name: np.array(8)}))
    assert first_difference(expected, other) == (
        "after step 2: dense/kernel (network) in 2 of 6 values, by at most 1; 2 of 6 tensors differ"
    )


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            OTHER,
            np.array([0, -0.0], "f"),
            "other/kernel (network 1) in 1 of 2 values, by at most 0;",
        ),
        (OTHER, np.array([0, np.nan], "f"), "(network 1) in 1 of 2 values, by at most 0;"),
        (NOISE, np.array([1, 2]), "noise/state (random) is uint32 [2] and int64 [2];"),
    ],
)
def test_every_bit_counts(
    tmp_path: Path, expected: Path, name: str, array: Any, message: str
) -> None:
    difference = first_difference(expected, keep(tmp_path / "o", checkpoint(1, {name: array})))
    assert difference is not None
    assert message in difference


def test_differences_in_plain_values_are_found(tmp_path: Path, expected: Path) -> None:
    difference = first_difference(expected, keep(tmp_path / "other", checkpoint(1, best=0.5)))
    assert difference is not None
    assert "the best evaluation" in difference
    assert "0.5" in difference


def test_large_states_are_compared_without_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(array.nbytes for array in ARRAYS.values())
    monkeypatch.setattr(states, "_MOST_BYTES", size)
    changed = {OTHER: np.ones(2, np.float32)}
    one = keep(tmp_path / "one", checkpoint(1), checkpoint(2))
    other = keep(tmp_path / "other", checkpoint(1), checkpoint(2, changed))
    assert len(list(one.glob("*.npz"))) == 1
    expected = "after step 2: other/kernel (network 1); 1 of 6 tensors differ"
    assert first_difference(one, other) == expected


def test_the_writer_calls_the_function_for_every_checkpoint(tmp_path: Path) -> None:
    steps: list[int] = []
    writer = CallbackCheckpointWriter(
        lambda each: steps.append(each.step), tmp_path / "c", 1, lambda: None
    )
    for step in range(1, 6):
        writer.write(checkpoint(step))
    writer.close()
    assert steps == [1, 2, 3, 4, 5]
    (file,) = (tmp_path / "c").glob("*.npz")
    assert read_checkpoint(file).step == 5
