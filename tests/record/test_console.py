import io
from pathlib import Path

import pytest
from record_helpers import make_run
from rich.console import Console

from expt.record.console import ConsoleRecorder
from expt.record.recorder import Scalars
from expt.record.run import Status


def _shown(tmp_path: Path, *, terminal: bool, width: int = 80) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width)
    recorder = ConsoleRecorder(console, total_steps=40, total_epochs=2, shown=["loss", "accuracy"])
    recorder.open(make_run(tmp_path))
    recorder.write(Scalars.single(20, 1, {"train/loss": 0.5, "train/accuracy": 0.75}))
    recorder.write(Scalars.single(20, 1, {"val/loss": 0.25, "perf/steps_per_s": 1234.0}))
    recorder.close(Status.FINISHED)
    return output.getvalue()


def test_plain_lines_one_an_evaluation(tmp_path: Path) -> None:
    lines = _shown(tmp_path, terminal=False).splitlines()
    assert len(lines) == 2
    assert lines[1] == (
        "epoch 1/2  step 20  train/loss 0.5000  train/accuracy 0.7500  val/loss 0.2500  "
        "1,234 steps/s"
    )


@pytest.mark.parametrize("width", [80, 160])
def test_terminal_shows_a_bar_with_epoch_and_losses(width: int, tmp_path: Path) -> None:
    shown = _shown(tmp_path, terminal=True, width=width)
    assert "epoch 1/2" in shown
    assert "━" in shown
    assert "train/loss 0.5000" in shown
    assert "…" not in shown
    assert ("train/accuracy 0.7500" in shown) == (width == 160)
