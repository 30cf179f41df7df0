"""The console: a live display on a terminal, plain lines elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from expt.record.lines import Line, ThinnedLines, fit_to_width, terminal_width
from expt.record.recorder import Record, Recorder, Scalars
from expt.record.values import format_value
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_REFRESHES = 0.1
_WIDE = 130  # columns of a terminal that has room for all metrics beside the bar
BEST_MARK = "★"
"""The mark of an evaluation that is the best so far."""

_DIGITS = 7  # the width of a number, so that lines are aligned


@dataclass(frozen=True)
class RunLength:
    """The length of a run, and the metrics that its lines show.

    Attributes:
        steps: The number of steps of the whole run.
        epochs: The number of epochs of the whole run.
        evaluations: The number of evaluations of the whole run.
        metrics: The metrics to show, without their split.
        monitor: The full name of the metric that decides which evaluation is the best.
        gain: Returns how much better a value of the monitored metric is than another, or than None.
        best: The best value of that metric before the run was resumed; None for a new run.
    """

    steps: int
    epochs: int
    evaluations: int
    metrics: Sequence[str]
    monitor: str
    gain: Callable[[float, float | None], float]
    best: float | None = None


class ConsoleRecorder:
    """A progress bar with the last batch's values, below a line for each evaluation.

    If a run has hundreds of evaluations, only every nth one, each new best one and the last one are
    printed; the log has all. On a terminal, lines are shortened to its width.
    """

    def __init__(self, console: Console, expected: RunLength) -> None:
        self._console, self._expected = console, expected
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._last: dict[str, float] = {}
        self._means = _Means()
        self._best = expected.best
        self._lines = ThinnedLines(expected.evaluations)
        self._last_refresh = 0.0

    def open(self, run: Run) -> None:
        """Prints the run's name and directory, and starts the display."""
        place = os.path.relpath(run.directory)
        begins = f", from step {run.record.resumed[-1].step:,}" if run.is_resumed else ""
        line = f"run {run.record.run_name} in {place}{begins}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        if skipped := run.record.data.skipped:
            self._console.print(f"{skipped} examples could not be read and are skipped")
        if self._console.is_interactive:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24 if self._is_wide() else 8),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=self._console,
                auto_refresh=False,  # `_refresh` decides when the bar is drawn
                transient=True,
                redirect_stderr=sys.stderr.isatty(),  # a redirected stderr must stay in its file
            )
            self._task = self._progress.add_task("", total=self._expected.steps, numbers="")
            self._progress.start()

    def write(self, record: Record) -> None:
        """Refreshes the bar at most ten times a second, and prints a line for an evaluation."""
        if not isinstance(record, Scalars):
            return
        self._last |= record.last()
        self._means.add(record)
        step, epoch = int(record.steps[-1]), int(record.epochs[-1])
        where = f"epoch {epoch:>{len(str(self._expected.epochs))}}/{self._expected.epochs}"
        self._refresh(step, where)
        if self._expected.monitor in record.values:
            is_best = self._update_best(self._last[self._expected.monitor])
            line = self._line(step, where, is_best)
            self._means = _Means()
            # The log has every evaluation in full; only the terminal is thinned and shortened.
            _log.info("%s", "  ".join(text for _, text in line))
            self._print(self._lines.add(line, is_best))

    def close(self, status: Status) -> None:
        """Prints the remaining lines and ends the display."""
        del status
        self._print(self._lines.rest())
        if self._progress is not None:
            self._progress.stop()

    def _update_best(self, value: float) -> bool:
        is_best = self._expected.gain(value, self._best) > 0
        if is_best:
            self._best = value
        return is_best

    def _refresh(self, step: int, where: str) -> None:
        now = time.monotonic()
        is_due = now - self._last_refresh > _SECONDS_BETWEEN_REFRESHES
        if self._progress is None or self._task is None or not is_due:
            return
        self._last_refresh = now
        # A narrow terminal has room only for the losses.
        names = self._names(self._expected.metrics if self._is_wide() else ["loss"])
        shown = [f"{name} {format_value(self._last[name])}" for name in names]
        self._progress.update(
            self._task,
            completed=step,
            description=where,
            numbers="  ".join([*shown, *self._speed()]),
            refresh=True,
        )

    def _line(self, step: int, where: str, is_best: bool) -> Line:
        """Returns the parts of an evaluation's line; parts of higher rank are dropped first."""
        line = [(0, where), (1, f"step {step:>{len(str(self._expected.steps))}}")]
        for name in self._names(self._expected.metrics):
            rank = 0 if name.startswith("val/") or name == "train/loss" else 2
            value = format_value(self._last[name])
            # The last batch's value is noisy, so the mean since the last evaluation comes first.
            if name in self._means.counts:
                line.append((rank, f"{name} mean {format_value(self._means[name]):<{_DIGITS}}"))
                line.append((3, f"last {value:<{_DIGITS}}"))
            else:
                line.append((rank, f"{name} {value:<{_DIGITS}}"))
        line += [(4, speed) for speed in self._speed()]
        return [*line, (0, BEST_MARK)] if is_best else line

    def _names(self, metrics: Sequence[str]) -> list[str]:
        names = [f"{split}/{metric}" for split in ("train", "val") for metric in metrics]
        return [name for name in names if name in self._last]

    def _speed(self) -> list[str]:
        speed = self._last.get("perf/steps_per_s")
        return [] if speed is None else [f"{speed:,.0f} steps/s"]

    def _print(self, lines: Sequence[Line]) -> None:
        for line in lines:
            text = fit_to_width(line, terminal_width(self._console))
            self._console.print(text, highlight=False, soft_wrap=True)

    def _is_wide(self) -> bool:
        return self._console.width >= _WIDE


class ClosingPhase:
    """A wrapper that shows the closing of a sink as a phase, such as `completing MLflow …`.

    Args:
        sink: The sink.
        title: The name of the sink in the phase.
        show: Returns a context manager that shows a text.
    """

    def __init__(
        self, sink: Recorder, title: str, show: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._sink, self._title, self._show = sink, title, show

    def open(self, run: Run) -> None:
        """Opens the sink."""
        self._sink.open(run)

    def write(self, record: Record) -> None:
        """Passes the record to the sink."""
        self._sink.write(record)

    def close(self, status: Status) -> None:
        """Closes the sink while the phase is shown."""
        with self._show(f"completing {self._title}"):
            self._sink.close(status)


@dataclass
class _Means:
    """The means of the training metrics over the steps since the last evaluation."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, scalars: Scalars) -> None:
        for name, values in scalars.values.items():
            if name.startswith("train/"):
                # In float64: the sum of thousands of float32 values would lose digits.
                self.sums[name] = self.sums.get(name, 0.0) + float(values.sum(dtype=float))
                self.counts[name] = self.counts.get(name, 0) + len(values)

    def __getitem__(self, name: str) -> float:
        return self.sums[name] / self.counts[name]
