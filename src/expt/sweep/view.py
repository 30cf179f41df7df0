"""What a sweep shows while it runs: a live view on a terminal, plain lines elsewhere."""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from expt.record.journal import FILE_NAME
from expt.record.values import format_value
from expt.sweep.plan import ENDED_WELL, JobStatus, Plan, PlannedJob

_SHOWN = ("val/", "test/")
_STYLES = {JobStatus.FAILED: "red", JobStatus.KILLED: "yellow"}
_SECONDS_BETWEEN_REFRESHES = 0.5
_TAIL = 4096  # bytes that hold the last line of a journal


class View:
    """Shows how a sweep goes. Each job that ends is a line that stays."""

    def __init__(self, plan: Plan, console: Console, workers: int, seconds: float | None) -> None:
        """Shows nothing yet.

        Args:
            plan: Of the sweep.
            console: Where to show it.
            workers: How many jobs run at once.
            seconds: About how long a job takes, if it is known.
        """
        self._plan, self._console, self._workers = plan, console, workers
        self._estimate = seconds
        self._began: dict[Path, float] = {}
        self._took: list[float] = []
        self._best: tuple[float, str, str] | None = None
        self._last_refresh = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def start(self) -> None:
        """Starts the live view, if this is a terminal."""
        if self._console.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Ends the live view."""
        self._live.stop()

    def begin(self, job: PlannedJob) -> None:
        """A job has begun."""
        self._began[job.directory] = time.monotonic()

    def end(self, job: PlannedJob, record: Mapping[str, Any]) -> None:
        """A job has ended; prints a line.

        Args:
            job: As it stands now.
            record: The content of its run.json; empty if it did not finish.
        """
        seconds = time.monotonic() - self._began.pop(job.directory, time.monotonic())
        if job.status is JobStatus.FINISHED:
            self._took.append(seconds)
            self._consider(job, record)
        final = record.get("final", {})
        values = "  ".join(
            f"{k} {format_value(v)}" for k, v in final.items() if k.startswith(_SHOWN)
        )
        done = len(self._plan.jobs) - self._plan.count(JobStatus.PENDING, JobStatus.RUNNING)
        line = f"{done}/{len(self._plan.jobs)} {job.status} {job.name}  {job.reason or values}"
        style = _STYLES.get(job.status, "")
        self._console.print(
            f"{line}  {seconds:.1f} s", style=style, highlight=False, markup=False, soft_wrap=True
        )

    def refresh(self) -> None:
        """Brings the live view up to date, a few times a second at most."""
        now = time.monotonic()
        if self._live.is_started and now - self._last_refresh > _SECONDS_BETWEEN_REFRESHES:
            self._last_refresh = now
            self._live.update(self._rendered(), refresh=True)

    def seconds_left(self) -> float | None:
        """Returns about how long the rest takes, or None if nothing is known yet."""
        a_job = fmean(self._took) if self._took else self._estimate
        if a_job is None:
            return None
        running = [time.monotonic() - began for began in self._began.values()]
        rest = sum(max(0.0, a_job - seconds) for seconds in running)
        return (self._plan.count(JobStatus.PENDING) * a_job + rest) / max(1, self._workers)

    def _rendered(self) -> RenderableType:
        plan = self._plan
        done, failed = plan.count(*ENDED_WELL), plan.count(JobStatus.FAILED)
        left = self.seconds_left()
        told = [
            f"{done}/{len(plan.jobs)} done",
            f"{plan.count(JobStatus.RUNNING)} running",
            f"{failed} failed",
        ]
        if left is not None:
            told.append(f"about {timedelta(seconds=round(left))} left")
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(len(plan.jobs), done + failed, width=24)
        head.add_row(bar, Text(" · ".join(told)))
        jobs = Table.grid(padding=(0, 2))
        for job in plan.jobs:
            if job.status is JobStatus.RUNNING:
                jobs.add_row(Text(job.name, style="cyan", overflow="ellipsis"), _progress(job))
        best = () if self._best is None else (Text(f"best so far: {self._best[1]}"),)
        return Group(head, jobs, *best)

    def _consider(self, job: PlannedJob, record: Mapping[str, Any]) -> None:
        """Takes note of the best value; what can't be compared with the others' is left out."""
        metric = _deciding(self._plan, record)
        value = record.get("best", {}).get(metric)
        if metric is None or value is None:
            return
        larger = metric.rpartition("/")[2] in record["larger_is_better"]
        better = value if larger else -value
        if self._best is None or (metric == self._best[2] and better > self._best[0]):
            self._best = (better, f"{metric} {format_value(value)}  {job.name}", metric)


def _deciding(plan: Plan, record: Mapping[str, Any]) -> str | None:
    """The metric by which jobs are compared: the watched one, unless it is a loss that varies."""
    watched = record.get("watched")
    losses = [job.job.config["loss"] for job in plan.jobs]
    if watched != "val/loss" or all(loss == losses[0] for loss in losses):
        return watched
    return next((f"val/{name}" for name in record["larger_is_better"]), None)


def _progress(job: PlannedJob) -> Text:
    """How far a job is, as the end of its journal tells."""
    try:
        with (job.directory / FILE_NAME).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            *_, last, _rest = file.read().split(b"\n")
        record = json.loads(last)
        loss = (
            f"  train/loss {format_value(record['train/loss'])}" if "train/loss" in record else ""
        )
        return Text(f"epoch {record['epoch']}  step {record['step']}{loss}")
    except (OSError, ValueError, KeyError, TypeError):
        return Text("starting")
