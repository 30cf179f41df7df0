"""Where the time of a training loop goes: measured while it runs, for `debug=profile`.

The clock is always in one part, so that the parts add up to the wall time: in `segments` while the
executor works, in `recording` while a record is handed to the recorders, and so on; in `host`
during the rest of the loop, and in `closing` after it. A segment is one compiled call, so its
steps, input and evaluations can't be timed inside. They are measured alone, and what remains of the
segments counts as `host`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.table import Table

from expt.record.recorder import Record, Recorder, Scalars
from expt.runs.run import Run, Status
from expt.train.executors import Evaluated, Executor
from expt.train.hooks import Every, Moment
from expt.train.hooks.profile import Profile
from expt.train.timeline import Timeline
from expt.train.timing import PartSeconds
from expt.train.trainer import train

_SEGMENTS, _RECORDING, _HOOKS, _TRACING = "segments", "recording", "hooks", "tracing"
_HOST, _CLOSING = "host", "closing"
_OTHERS = (_RECORDING, _HOOKS, _TRACING, _CLOSING)
_MEANINGS = {
    "compute": "steps on batches that are there",
    "input": "waiting for batches",
    "evaluation": "of the validation split",
    _RECORDING: "handing over of records",
    _HOOKS: "images, checkpoints, probes",
    _TRACING: "start and end of the trace",
    _CLOSING: "the last checkpoint",
    _HOST: "Python, and the borders of calls",
    "wall time": "of training",
}


@dataclass
class StepTimes:
    """A clock that is in one part at a time, and counts the seconds of each.

    Attributes:
        read_clock: Returns the time in seconds.
        seconds: The seconds by part: `segments`, `recording`, `hooks`, `tracing`, `closing` and
            `host`. Their sum is the wall time.
        steps: The number of steps.
        evaluations: The number of evaluations of the validation split.
    """

    read_clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: int = 0
    evaluations: int = 0
    _part: str = _CLOSING
    _since: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the clock during a `with` block, in `closing` outside of `train_timed`."""
        self._since = self.read_clock()
        try:
            yield
        finally:
            self._switch(_CLOSING)

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Puts the clock into a part during a `with` block, which may lie within another one."""
        outer = self._switch(part)
        try:
            yield
        finally:
            self._switch(outer)

    def by_part(self, alone: PartSeconds) -> Mapping[str, float]:
        """Returns the seconds by part, with the segments split; their sum is the wall time.

        If the parts that are measured alone need more time than the segments took, since they
        overlap in a segment, all of them are scaled down to the segments' time.

        Args:
            alone: The durations of the parts of segments, measured alone.
        """
        within = {
            "compute": self.steps * alone.compute,
            "input": self.steps * alone.input,
            "evaluation": self.evaluations * alone.evaluation,
        }
        segments = self.seconds.get(_SEGMENTS, 0.0)
        scale = min(1.0, segments / sum(within.values())) if segments else 0.0
        split = {part: scale * seconds for part, seconds in within.items()}
        rest = max(0.0, segments - sum(split.values()))
        others = {part: self.seconds.get(part, 0.0) for part in _OTHERS}
        return {**split, **others, _HOST: self.seconds.get(_HOST, 0.0) + rest}

    def table(self, alone: PartSeconds) -> Table:
        """Returns the table of the seconds by part, their shares, and the time per step.

        Args:
            alone: See `by_part`.
        """
        parts = self.by_part(alone)
        total = sum(parts.values())
        title = f"{self.steps} steps and {self.evaluations} evaluations"
        table = Table("part", "seconds", "share", "µs per step", "of what", title=title, box=None)
        for part, seconds in [*parts.items(), ("wall time", total)]:
            per_step = 1e6 * seconds / max(1, self.steps)
            cells = f"{seconds:.3f}", f"{seconds / total:.1%}", f"{per_step:,.0f}"
            table.add_row(part, *cells, _MEANINGS[part])
        return table

    def _switch(self, part: str) -> str:
        """Puts the clock into a part; returns the part in which it was."""
        now, before = self.read_clock(), self._part
        self.seconds[before] += now - self._since
        self._part, self._since = part, now
        return before


def train_timed(
    times: StepTimes,
    executor: Executor,
    hooks: Sequence[Every],
    recorder: Recorder,
    check_signals: Callable[[], None],
) -> None:
    """Trains as `train` does, with the same arguments, and adds to the running `times`."""
    timed_hooks = [_TimedHook(hook.cadence, hook.hook, inner=hook, times=times) for hook in hooks]
    timed_recorder = _TimedRecorder(recorder, times, executor.program.monitor.metric)
    with times.during(_HOST):
        train(_TimedExecutor(executor, times), timed_hooks, timed_recorder, check_signals)


class _TimedExecutor:
    """An `Executor` whose segments are timed."""

    def __init__(self, executor: Executor, times: StepTimes) -> None:
        self.program, self.state = executor.program, executor.state
        self._executor, self._times = executor, times

    def run(self, until: int) -> Iterator[Scalars]:
        first = self.state.progress.step
        yield from self._timed(self._executor.run(until))
        self._times.steps += self.state.progress.step - first

    def evaluate(self) -> Iterator[Scalars]:
        yield from self._timed(self._executor.evaluate())

    def evaluate_validation(self) -> Evaluated:
        return self._executor.evaluate_validation()

    def evaluate_test(self) -> Evaluated:
        return self._executor.evaluate_test()

    def _timed(self, scalars: Iterator[Scalars]) -> Iterator[Scalars]:
        while True:
            # Not around a `for`: what is done with the scalars is none of the executor's time.
            with self._times.during(_SEGMENTS):
                found = next(scalars, None)
            if found is None:
                return
            yield found


class _TimedRecorder:
    """A `Recorder` whose calls are timed; counts the evaluations that it records."""

    def __init__(self, recorder: Recorder, times: StepTimes, monitored: str) -> None:
        self._recorder, self._times, self._monitored = recorder, times, monitored

    def open(self, run: Run) -> None:
        self._recorder.open(run)

    def write(self, record: Record) -> None:
        with self._times.during(_RECORDING):
            self._recorder.write(record)
        if isinstance(record, Scalars) and self._monitored in record.values:
            self._times.evaluations += 1

    def close(self, status: Status) -> None:
        self._recorder.close(status)


@dataclass(frozen=True, kw_only=True)
class _TimedHook(Every):
    """A hook that is timed; its cadence is that of `inner`."""

    inner: Every
    times: StepTimes

    def __call__(self, moment: Moment) -> None:
        with self.times.during(_TRACING if isinstance(self.hook, Profile) else _HOOKS):
            self.inner(moment)

    def resume(self, moment: Moment) -> None:
        with self.times.during(_HOOKS):
            self.inner.resume(moment)

    def next_due(self, step: int, timeline: Timeline) -> float:
        return self.inner.next_due(step, timeline)

    def is_due(self, moment: Moment) -> bool:
        return self.inner.is_due(moment)
