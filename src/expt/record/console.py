"""The console: a live display on a terminal, plain lines elsewhere."""

import logging
import os
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from expt.record.recorder import Record, Scalars
from expt.record.run import Run, Status
from expt.record.values import format_value

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_REFRESHES = 0.1
_WIDE = 130  # columns that hold every number beside the bar


class ConsoleRecorder:
    """Shows epoch, steps a second, time left and the last values of some metrics."""

    def __init__(
        self, console: Console, total_steps: int, total_epochs: int, shown: Sequence[str]
    ) -> None:
        self._console, self._shown = console, shown
        self._total_steps, self._total_epochs = total_steps, total_epochs
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._last: dict[str, float] = {}
        self._last_refresh = 0.0

    def open(self, run: Run) -> None:
        """Says where the run goes and starts the display."""
        place = os.path.relpath(run.directory)
        begins = f", from step {run.record['resumed'][-1]['step']}" if run.is_resumed else ""
        self._console.print(f"run {place}{begins}", highlight=False, soft_wrap=True)
        if skipped := run.record["data"]["skipped"]:
            self._console.print(f"{skipped} examples could not be read and are left out")
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24 if self._is_wide() else 8),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._task = self._progress.add_task("", total=self._total_steps, numbers="")
            self._progress.start()

    def write(self, record: Record) -> None:
        """Takes note of scalars; shows them at most ten times a second, or an evaluation a line."""
        if not isinstance(record, Scalars):
            return
        self._last |= record.last()
        step, epoch = int(record.steps[-1]), int(record.epochs[-1])
        where = f"epoch {epoch:>{len(str(self._total_epochs))}}/{self._total_epochs}"
        if self._progress is not None and self._task is not None:
            now = time.monotonic()
            if now - self._last_refresh > _SECONDS_BETWEEN_REFRESHES:
                self._last_refresh = now
                self._progress.update(
                    self._task,
                    completed=step,
                    description=where,
                    numbers=_numbers(
                        self._last, self._shown if self._is_wide() else self._shown[:1]
                    ),
                    refresh=True,
                )
        if "val/loss" in record.values:
            padded = f"{step:>{len(str(self._total_steps))}}"
            line = f"{where}  step {padded}  {_numbers(self._last, self._shown)}"
            _log.info(line)
            if self._progress is None:
                self._console.print(line, highlight=False, soft_wrap=True)

    def _is_wide(self) -> bool:
        return self._console.width >= _WIDE

    def close(self, status: Status) -> None:
        """Ends the display."""
        del status
        if self._progress is not None:
            self._progress.stop()


def _numbers(values: Mapping[str, float], metrics: Sequence[str]) -> str:
    shown = [
        f"{name} {format_value(values[name])}"
        for name in (f"{split}/{metric}" for split in ("train", "val") for metric in metrics)
        if name in values
    ]
    if "perf/steps_per_s" in values:
        shown.append(f"{values['perf/steps_per_s']:,.0f} steps/s")
    return "  ".join(shown)
