from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import Command, Train
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.records import read_run
from expt.train.hooks.lr_finder import _add_recorded
from expt.train.learning_rate_range import RangeTest
from expt.train.messages import describe_suggestion

SMALL = ("debug=lr_finder", "model.units=[16]", "schedule=cosine")


def test_range_test_of_default_config(train_here: Train, tmp_path: Path) -> None:
    run = train_here([*SMALL, "optimizer.learning_rate=0.5", "seed=3"], tmp_path)
    assert run.record.status == "FINISHED"
    records = [one for one in read_journal(run.directory / FILE_NAME) if "train/loss" in one]
    rates = [record["train/learning_rate"] for record in records]
    assert rates == pytest.approx(np.geomspace(1e-7, 10, 150)[: len(rates)], rel=1e-4)
    # The journal repeats the test: the same points, and the same suggestion.
    test, journal = RangeTest(), run.directory / FILE_NAME
    of_run: Any = SimpleNamespace(directory=run.directory, recorded=journal.stat().st_size)
    _add_recorded(test, of_run, len(rates))
    assert test.losses == [record["train/loss"] for record in records[1:]]
    rate = run.final["lr_finder/learning_rate"]
    assert rate == test.suggestion()
    assert 1e-3 < rate < 0.1
    line = describe_suggestion(run.record)
    assert line.startswith(f"★ learning rate {rate:g}: python -m expt.run optimizer.learning_rate=")
    assert "debug" not in line
    assert "=0.5" not in line
    assert line.endswith("'model.units=[16]' schedule=cosine seed=3")


def test_loss_that_becomes_nan_ends_the_test_not_the_run(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "custom_losses")
    own = ["data=linear", "model=linear", "loss=mse", "optimizer=sgd"]
    target = "loss._target_=custom_losses.nan_for_large_outputs"
    run = train_here(["debug=lr_finder", *own, target], tmp_path)
    assert run.record.status == "FINISHED"
    assert run.record.stopped is not None
    assert "train/loss became nan" in run.record.stopped
    assert run.record.best is not None
    assert run.record.best.step == 0
    assert "train/loss" not in run.final
    assert all(np.isfinite(value) for value in run.final.values())


def test_command_prints_suggestion_and_saves_curve(run_here: Command, tmp_path: Path) -> None:
    done = run_here(*SMALL, "recorder=[]", folder=tmp_path)
    assert done.code == 0, done.error
    (directory,) = (tmp_path / "outputs" / "runs").glob("*/*")
    assert describe_suggestion(read_run(directory)) in done.out
    (file,) = (directory / "images").glob("lr_finder_curve_*.png")
    with Image.open(file) as image:
        assert len(image.convert("RGB").getcolors(10**6) or []) > 10


def test_gan_is_refused(run_here: Command, tmp_path: Path) -> None:
    done = run_here(*SMALL[:1], "model=gan", "loss=binary_crossentropy", folder=tmp_path)
    assert done.code == 2
    assert "debug=lr_finder does not support model=gan" in done.error
    assert not (tmp_path / "outputs").exists()
