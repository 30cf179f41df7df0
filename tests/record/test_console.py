import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from record_helpers import make_run
from rich.console import Console

from expt.record.console import ClosingPhase, ConsoleRecorder, RunLength
from expt.record.recorder import Fanout, Record, Scalars
from expt.runs.run import Run, Status


def gain(value: float, over: float | None) -> float:
    # Of a loss: smaller is better.
    return float("inf") if over is None else over - value


def expected(evaluations: int = 2, best: float | None = None) -> RunLength:
    return RunLength(40, 2, evaluations, ["loss", "accuracy"], "val/loss", gain, best)


def block(first: int, values: Mapping[str, Sequence[float]]) -> Scalars:
    steps = np.arange(first, first + len(next(iter(values.values()))))
    columns = {name: np.array(column, np.float32) for name, column in values.items()}
    return Scalars(steps, np.ones_like(steps), np.zeros(len(steps)), columns)


def _shown(tmp_path: Path, *, terminal: bool, width: int = 80, best: float | None = None) -> str:
    """Returns the output of a run of four steps with one evaluation."""
    output = io.StringIO()
    console = Console(
        file=output,
        force_terminal=terminal,
        force_interactive=terminal,
        width=width,
        color_system=None,
    )
    recorder = ConsoleRecorder(console, expected(best=best))
    recorder.open(make_run(tmp_path))
    losses, accuracies = [2.0, 1.0, 0.75], [0.0, 0.5, 0.625]
    recorder.write(block(17, {"train/loss": losses[:2], "train/accuracy": accuracies[:2]}))
    recorder.write(block(19, {"train/loss": losses[2:], "train/accuracy": accuracies[2:]}))
    recorder.write(Scalars.single(20, 1, {"val/loss": 0.25, "perf/steps_per_s": 1234.0}))
    recorder.close(Status.FINISHED)
    return output.getvalue()


def test_an_evaluation_is_a_line_with_the_means_since_the_last(tmp_path: Path) -> None:
    lines = _shown(tmp_path, terminal=False).splitlines()
    assert len(lines) == 2
    assert lines[1] == (
        "epoch 1/2  step 20  train/loss mean 1.25     last 0.75     train/accuracy mean 0.375    "
        "last 0.625    val/loss 0.25     1,234 steps/s  ★"
    )


def test_means_start_again_after_an_evaluation(tmp_path: Path) -> None:
    output = io.StringIO()
    recorder = ConsoleRecorder(Console(file=output), expected())
    recorder.open(make_run(tmp_path))
    for first, losses in ((1, [8.0, 8.0]), (3, [3.0, 1.0])):
        recorder.write(block(first, {"train/loss": losses}))
        recorder.write(Scalars.single(first + 1, 1, {"val/loss": 0.5}))
    lines = output.getvalue().splitlines()[1:]
    means = [line.partition("train/loss mean ")[2].split()[0] for line in lines]
    assert means == ["8", "2"]


def test_resumed_run_knows_the_previous_best_value(tmp_path: Path) -> None:
    assert "★" in _shown(tmp_path, terminal=False, best=0.3)
    assert "★" not in _shown(tmp_path, terminal=False, best=0.25)


@pytest.mark.parametrize("width", [80, 160])
def test_terminal_shows_a_bar_with_epoch_and_losses(width: int, tmp_path: Path) -> None:
    shown = _shown(tmp_path, terminal=True, width=width)
    bar = next(line for line in shown.split("\n") if "━" in line and "epoch" in line)
    assert "epoch 1/2" in bar
    assert "train/loss 1" in bar
    assert "…" not in shown
    assert ("train/accuracy 0.5" in bar) == (width == 160)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (60, "epoch 1/2  train/loss mean 1.25     val/loss 0.25     ★"),
        (
            100,
            "epoch 1/2  step 20  train/loss mean 1.25     train/accuracy mean 0.375    "
            "val/loss 0.25     ★",
        ),
    ],
)
def test_lines_fit_the_width_of_the_terminal(width: int, line: str, tmp_path: Path) -> None:
    lines = [line.strip() for line in _shown(tmp_path, terminal=True, width=width).split("\n")]
    assert any(shown.endswith(line) for shown in lines)


def test_log_has_every_evaluation_in_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = io.StringIO()
    recorder = ConsoleRecorder(Console(file=output, width=40), expected(evaluations=400))
    recorder.open(make_run(tmp_path))
    with caplog.at_level(logging.INFO, logger="expt.record.console"):
        for step in range(1, 401):
            recorder.write(Scalars.single(step, 1, {"val/loss": 1.0 / step}))
    recorder.close(Status.FINISHED)
    assert len(caplog.messages) == 400
    lines = output.getvalue().splitlines()
    # The line of the run, every 20th evaluation, and the first one.
    assert len(lines) == 1 + 21
    assert "step 400" in lines[-1]


class _CallSink:
    """A sink that records its calls."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def open(self, run: Run) -> None:
        self._calls.append(f"open {run.record.status}")

    def write(self, record: Record) -> None:
        self._calls.append(f"write {type(record).__name__}")

    def close(self, status: Status) -> None:
        self._calls.append(f"close {status}")


def test_closing_of_a_sink_is_shown(tmp_path: Path) -> None:
    calls: list[str] = []

    @contextmanager
    def show(text: str) -> Iterator[None]:
        calls.append(f"<{text}>")
        yield
        calls.append("</>")

    recorder = Fanout([ClosingPhase(_CallSink(calls), "MLflow", show)])
    recorder.open(make_run(tmp_path))
    recorder.write(Scalars.single(1, 1, {"val/loss": 1.0}))
    recorder.close(Status.KILLED)
    assert calls == ["open RUNNING", "write Scalars", "<completing MLflow>", "close KILLED", "</>"]
