"""How often a run's state is copied; it takes a short step's time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from expt.train import checkpoint as module
from expt.train.checkpoint import Checkpoint, checkpoint_files, step_of
from expt.train.state import State
from resume.interrupting import final_state, journal, train

EVERY_STEP = ["loop.steps=30", "loop.save_every=1", "loop.eval_every=3", "loop.keep_checkpoints=1"]
RISING = ["optimizer.learning_rate=0.5"]  # so that not every evaluation is the best so far


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps whose states were copied; a second write is not due before the end."""
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", 3600.0)
    steps, copy = list[int](), State.checkpoint

    def counted(state: State, identity: Mapping[str, Any]) -> Checkpoint:
        steps.append(state.progress.step)
        return copy(state, identity)

    monkeypatch.setattr(State, "checkpoint", counted)
    return steps


def best_so_far(directory: Path) -> list[int]:
    """The steps of evaluations that were better than all before them."""
    steps, lowest = [], float("inf")
    for record in journal(directory):
        if float(record.get("val/loss", "inf")) < lowest:
            steps.append(int(record["step"]))
            lowest = float(record["val/loss"])
    return steps


def test_only_what_may_be_written_is_copied(tmp_path: Path, copied: list[int]) -> None:
    # Eagerly, a segment ends at each evaluation.
    directory = train([*EVERY_STEP, *RISING, "loop.compile=eager"], tmp_path)
    best = best_so_far(directory)
    assert 3 in best
    assert best[-1] < 30
    assert copied == [1, *best, 30]
    assert [step_of(file) for file in checkpoint_files(directory / "checkpoints")] == [30, best[-1]]


def test_evaluations_on_the_device_are_not_interrupted_for_a_copy(
    tmp_path: Path, copied: list[int]
) -> None:
    directory = train([*EVERY_STEP, *RISING], tmp_path)
    assert len(best_so_far(directory)) > 1
    # The first checkpoint is due at once; the next one is not before the end.
    assert (copied[0], copied[-1]) == (1, 30)
    assert len(copied) <= 4


def test_an_interrupted_run_is_saved_where_it_ends(tmp_path: Path, copied: list[int]) -> None:
    # The host reads no step on its own unless something is due there.
    given = [*EVERY_STEP, "loop.eval_every=null", "loop.image_every=7"]
    directory = train(given, tmp_path, interrupt_at=7)
    assert copied == [1, 7]
    assert final_state(directory).step == 7
