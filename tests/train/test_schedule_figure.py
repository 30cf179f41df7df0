from pathlib import Path

import pytest
from PIL import Image

from conftest import Command


@pytest.mark.parametrize(
    ("options", "rates", "name"),
    [
        ([], "0.001 at step 1, 0.001 at most, 0.001 at step 57", "schedule-ep3"),
        (
            ["schedule=one_cycle", "optimizer.learning_rate=0.5"],
            "0.02 at step 1, 0.5 at most, 2e-06 at step 57",
            "schedule-one_cycle-ep3-lr0.5",
        ),
        (
            ["schedule=plateau"],
            "0.001 at step 1, 0.001 at most, 0.001 at step 57",
            "schedule-plateau-ep3",
        ),
    ],
)
def test_rates_of_run_are_drawn(
    run_here: Command, tmp_path: Path, options: list[str], rates: str, name: str
) -> None:
    done = run_here("debug=schedule", "loop.epochs=3", *options, folder=tmp_path)
    assert done.code == 0, done.error
    assert f"learning rate: {rates}" in done.out
    assert f"outputs/schedules/{name}.png" in done.out
    with Image.open(tmp_path / "outputs" / "schedules" / f"{name}.png") as image:
        assert image.size == (825, 495)
    # Nothing was trained.
    assert not (tmp_path / "outputs" / "runs").exists()


def test_sweep_is_refused(run_here: Command, tmp_path: Path) -> None:
    done = run_here("-m", "debug=schedule", "seed=0,1", "sweep.workers=1", folder=tmp_path)
    assert done.code == 2
    assert "mode=schedule (debug=schedule) trains nothing" in done.error
