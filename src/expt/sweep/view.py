"""The progress display of a running sweep: a live view in a terminal, plain lines elsewhere."""

import json
import sys
import time
from pathlib import Path
from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from expt.record.journal import FILE_NAME
from expt.record.lines import Line, fit_to_width, terminal_width
from expt.record.values import format_seconds, format_value
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.best import Result, result_of
from expt.sweep.jobs import SUCCESSFUL, PlannedJob
from expt.sweep.plan import SweepPlan

_STYLES = {JobStatus.FAILED: "red", JobStatus.KILLED: "yellow"}
_SECONDS_BETWEEN_REFRESHES = 0.5
_TAIL = 4096  # bytes to read from the end of a journal; enough for its last line


class SweepView:
    """Shows the progress of a sweep live, and prints one permanent line for each job that ends."""

    def __init__(
        self, plan: SweepPlan, console: Console, workers: int, seconds: float | None
    ) -> None:
        """Initializes the view without showing it; see `start`.

        Args:
            plan: Plan of the sweep.
            console: The console to print to.
            workers: Number of jobs that run at the same time.
            seconds: Estimated duration of a job; None if unknown.
        """
        self._plan, self._console, self._workers = plan, console, workers
        self._estimate = seconds
        self._started_at: dict[Path, float] = {}
        self._durations: list[float] = []
        self._best: Result | None = None
        self._last_refresh = 0.0
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # keeps warnings above the live view
        )

    def start(self) -> None:
        """Starts the live view if the console is a terminal."""
        if self._console.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Ends the live view."""
        self._live.stop()

    def begin(self, job: PlannedJob) -> None:
        """Records that a job has started."""
        self._started_at[job.directory] = time.monotonic()

    def end(self, job: PlannedJob, record: RunRecord) -> None:
        """Prints the line of a job that has ended.

        Args:
            job: The job, with its final status.
            record: Record of the job's run; empty if the job did not finish.
        """
        seconds = time.monotonic() - self._started_at.pop(job.directory, time.monotonic())
        if job.status is JobStatus.FINISHED:
            self._durations.append(seconds)
            self._update_best(job, record)
        done = len(self._plan.jobs) - self._plan.count(JobStatus.PENDING, JobStatus.RUNNING)
        line: Line = [(0, f"{done}/{len(self._plan.jobs)} {job.status} {job.name}")]
        line += [(0, job.reason)] if job.reason else _result_columns(record)
        self._console.print(
            fit_to_width([*line, (1, format_seconds(seconds))], terminal_width(self._console)),
            style=_STYLES.get(job.status, ""),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def refresh(self) -> None:
        """Updates the live view, at most twice a second."""
        now = time.monotonic()
        if self._live.is_started and now - self._last_refresh > _SECONDS_BETWEEN_REFRESHES:
            self._last_refresh = now
            self._live.update(self._rendered(), refresh=True)

    def seconds_left(self) -> float | None:
        """Returns the estimated time to the end of the sweep in seconds; None if unknown."""
        a_job = fmean(self._durations) if self._durations else self._estimate
        if a_job is None:
            return None
        # A job that takes longer than the mean counts as nearly done, not as negative time.
        running = [time.monotonic() - began for began in self._started_at.values()]
        rest = sum(max(0.0, a_job - seconds) for seconds in running)
        return (self._plan.count(JobStatus.PENDING) * a_job + rest) / max(1, self._workers)

    def _rendered(self) -> RenderableType:
        plan = self._plan
        done, failed = plan.count(*SUCCESSFUL), plan.count(JobStatus.FAILED)
        left = self.seconds_left()
        parts = [
            f"{done}/{len(plan.jobs)} done",
            f"{plan.count(JobStatus.RUNNING)} running",
            f"{failed} failed",
        ]
        if left is not None:
            parts.append(f"about {format_seconds(round(left))} left")
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(len(plan.jobs), done + failed, width=24)
        head.add_row(bar, Text(" · ".join(parts)))
        jobs = Table.grid(padding=(0, 2))
        for job in plan.jobs:
            if job.status is JobStatus.RUNNING:
                jobs.add_row(Text(job.name, style="cyan", overflow="ellipsis"), _progress(job))
        if self._best is None:
            return Group(head, jobs)
        return Group(head, jobs, Text(f"best so far: {self._best}"))

    def _update_best(self, job: PlannedJob, record: RunRecord) -> None:
        """Keeps the job's result if it is the best so far; ignores one that can't be compared."""
        found = result_of(self._plan, job, record)
        if found is not None and found.is_better_than(self._best):
            self._best = found


def _result_columns(record: RunRecord) -> Line:
    """Returns the metrics of a job's best model; a narrow terminal drops test metrics first."""
    best = {} if record.best is None else record.best.values
    final = {} if record.final is None else record.final.values
    validation = [f"{k} {format_value(v)}" for k, v in best.items() if k.startswith("val/")]
    test = [f"{k} {format_value(v)}" for k, v in final.items() if k.startswith("test/")]
    ranks = [0, *range(3, 2 + len(validation))]
    line = list(zip(ranks, validation, strict=False))
    if line:
        line[0] = (0, f"best {line[0][1]}")
    return [*line, *((2 + len(validation) + n, text) for n, text in enumerate(test))]


def _progress(job: PlannedJob) -> Text:
    """Returns the progress of a running job, from the last complete line of its journal."""
    try:
        with (job.directory / FILE_NAME).open("rb") as file:
            # The journal may be long and is read twice a second, so only its end is read.
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            *_, last, _rest = file.read().split(b"\n")
        record = json.loads(last)
        loss = (
            f"  train/loss {format_value(record['train/loss'])}" if "train/loss" in record else ""
        )
        return Text(f"epoch {record['epoch']}  step {record['step']}{loss}")
    except (OSError, ValueError, KeyError, TypeError):
        return Text("starting")
