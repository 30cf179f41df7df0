"""A sweeper that proposes jobs in rounds, and a launcher that only pretends to train them."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from expt.config.compose import Composition
from expt.config.job import Job
from expt.record.phases import Phases
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.jobs import JobOutcome, PlannedJob
from expt.sweep.launchers import Event, Launcher, Task, TaskEnded, TaskStarted, worker
from expt.sweep.search import first_jobs
from expt.sweep.start import run_sweep
from expt.train.data_loading import DataLoader

ACTIVATIONS = ("relu", "tanh", "elu")


class Rounds:
    """Tries activations, then losses with the best of them, then seeds with the best of both."""

    def __init__(self, *, composition: Composition) -> None:
        self._fixed = composition.fixed_overrides
        self._asked: list[tuple[str, ...]] = []
        self._values: dict[tuple[str, ...], float] = {}

    def ask(self) -> Sequence[Sequence[str]] | None:
        if len(self._values) < len(self._asked):
            return []  # the next round depends on all outcomes of this one
        asked = len(self._asked)
        if asked == 0:
            jobs = [[f"act={act}"] for act in ACTIVATIONS]
        elif asked == 3:
            jobs = [[self._best("act="), f"loss={loss}"] for loss in ("mse", "focal")]
        elif asked == 5:
            jobs = [[self._best("act="), self._best("loss="), f"seed={n}"] for n in (1, 2)]
        else:
            return None
        jobs = [[*job, *self._fixed] for job in jobs]
        self._asked += [tuple(job) for job in jobs]
        return jobs

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        best = {} if outcome.record.best is None else outcome.record.best.values
        self._values[job.job.overrides] = best.get("val/accuracy", 0.0)

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        self._asked = [job.job.overrides for job in jobs]

    def _best(self, prefix: str) -> str:
        tried = [job for job in self._asked if any(one.startswith(prefix) for one in job)]
        best = max(tried, key=lambda job: self._values[job])
        return next(one for one in best if one.startswith(prefix))


def accuracy(job: Job) -> float:
    """Returns the pretended accuracy of a job; elu with the focal loss is the best."""
    value = {"relu": 0.5, "tanh": 0.6, "elu": 0.7}[job.choices["act"]]
    return value + 0.1 * (job.choices["loss"] == "focal") + 0.01 * job.config.seed


def train(job: Job, directory: Path) -> JobOutcome:
    """Writes the record of a finished run without training."""
    best = {"step": 1, "watched": "val/accuracy", "val/accuracy": accuracy(job)}
    record = {
        "status": "FINISHED",
        "started": time.time(),
        "watched": "val/accuracy",
        "larger_is_better": ["accuracy"],
        "best": best,
        "closed": True,
    }
    (directory / "run.json").write_text(json.dumps(record))
    return JobOutcome(JobStatus.FINISHED, record=RunRecord.of(record))


class FakeLauncher:
    """A launcher that trains nothing; jobs end in the order of submission.

    Args:
        check: Returns the result of the check of a job.
        dies_at: Index of the job at which this process kills itself; None for never.
    """

    num_slots = 2

    def __init__(
        self,
        check: Callable[[Job], worker.CheckedJob] = lambda _: worker.CheckedJob(seconds=1.0),
        dies_at: int | None = None,
    ) -> None:
        self.checked: list[tuple[str, ...]] = []
        self.trained: list[tuple[str, ...]] = []
        self._check, self._dies_at = check, dies_at
        self._events: list[Event] = []

    @property
    def is_idle(self) -> bool:
        return not self._events

    def submit(self, task: Task) -> None:
        self._events.append(TaskStarted(task.number))
        job, directory = task.arguments[:2]
        if task.function is worker.check:
            self.checked.append(job.overrides)
            value: object = self._check(job)
        elif len(self.trained) == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self.trained.append(job.overrides)
            value = train(job, directory)
        self._events.append(TaskEnded(task.number, value))

    def next_event(self, seconds: float) -> Event | None:
        del seconds
        return self._events.pop(0) if self._events else None

    def cancel(self, number: int) -> None:
        raise NotImplementedError

    def hold(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


def run(directory: Path, launcher: Launcher, *fixed: str) -> tuple[int, str]:
    """Runs a search; returns the exit code and the console output."""
    target = f"sweeper._target_={Rounds.__module__}.{Rounds.__name__}"
    space = ["act=relu,tanh,elu", "loss=mse,focal", "seed=1,2"]
    overrides = [target, *space, "recorder=[]", f"output_dir={directory.parent}", *fixed]
    shown, load = io.StringIO(), DataLoader()
    composition = Composition(overrides, None, multirun=True)
    asked, search = first_jobs(composition, load)
    jobs = list(composition.compose(asked))
    data = [load(one.job).fingerprint for one in jobs]
    phases = Phases(Console(file=shown, width=200))
    code = run_sweep(directory, jobs, data, launcher, phases, search)
    return code, shown.getvalue()


if __name__ == "__main__":
    from sweep.searching import run  # the sweeper is found under this module name, not __main__

    run(Path(sys.argv[1]), FakeLauncher(dies_at=int(sys.argv[2])))
