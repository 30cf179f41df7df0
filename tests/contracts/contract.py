"""The contract that every option of every group keeps: it trains, and what it saves is the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from conftest import Train, Trained
from expt.config.location import options

STEPS = 3
SMALL = ("model.units=[8]",)  # of the default model, for speed


def options_of(group: str) -> list[str]:
    """The group's options as they are found in conf/."""
    found = options(group)
    assert found, f"conf/{group} has no options"
    return found


def keep_contract(train_here: Train, overrides: Sequence[str], folder: Path) -> None:
    """Composes, builds and trains a job for a few steps; loads its model and evaluates it anew."""
    run = train_here([f"loop.steps={STEPS}", *overrides], folder)
    assert run.final["step"] <= STEPS
    assert_kept(run)


def assert_kept(run: Trained) -> None:
    """Asserts that a run has finished, and that its model, loaded, gives its numbers again."""
    assert run.record.status == "FINISHED"
    final = run.final
    assert all(np.isfinite(value) for value in final.values())

    from expt.parts.models.links import without_link
    from expt.runs.find import load_run
    from expt.train.inference import make_saved_evaluate
    from expt.train.saved_model import load_predictor

    found = load_run(run.directory, run.directory)
    model = without_link(load_predictor(found.model_file, found, run.job))
    values, _ = make_saved_evaluate(run.job, run.dataset, model, run.dataset.test)()
    reported = {f"test/{name}": value for name, value in values.items()}
    assert reported
    assert reported == pytest.approx({name: final[name] for name in reported}, rel=1e-4, abs=1e-6)
