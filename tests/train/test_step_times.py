"""Where the time of training goes, measured with a clock that the test sets."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.record.recorder import Scalars
from expt.train.hooks import Every, Moment
from expt.train.hooks.profile import Profile
from expt.train.step_times import StepTimes, train_timed
from expt.train.timeline import Timeline
from expt.train.timing import PartSeconds

MONITORED = "val/loss"


class Clock:
    """A clock that only moves when a part of the program says how long it took."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def test_seconds_of_nested_parts_are_counted_once() -> None:
    clock = Clock()
    times = StepTimes(clock)
    with times.running():
        clock.advance(1.0)
        with times.during("hooks"):
            clock.advance(2.0)
            with times.during("recording"):
                clock.advance(4.0)
            clock.advance(8.0)
        clock.advance(16.0)
    clock.advance(32.0)
    assert times.seconds == {"closing": 17.0, "hooks": 10.0, "recording": 4.0}


def test_part_ends_with_an_exception() -> None:
    clock = Clock()
    times = StepTimes(clock)

    def fail() -> None:
        with times.running(), times.during("hooks"):
            clock.advance(2.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert times.seconds["hooks"] == 2.0
    with times.running():
        clock.advance(1.0)
    assert times.seconds["closing"] == 1.0


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        # 10 steps of 0.2 + 0.1 s and 2 evaluations of 0.5 s are 4 s.
        (5.0, {"compute": 2.0, "input": 1.0, "evaluation": 1.0, "host": 3.0 + 1.0}),
        (4.0, {"compute": 2.0, "input": 1.0, "evaluation": 1.0, "host": 3.0}),
        (2.0, {"compute": 1.0, "input": 0.5, "evaluation": 0.5, "host": 3.0}),
        (0.0, {"compute": 0.0, "input": 0.0, "evaluation": 0.0, "host": 3.0}),
    ],
)
def test_segments_are_split_by_what_their_parts_take_alone(
    segments: float, expected: dict[str, float]
) -> None:
    measured = {"segments": segments, "recording": 0.5, "closing": 0.25, "host": 3.0}
    times = StepTimes(Clock(), measured, steps=10, evaluations=2)
    parts = times.by_part(PartSeconds(compute=0.2, input=0.1, evaluation=0.5))
    others = {"recording": 0.5, "closing": 0.25, "hooks": 0.0, "tracing": 0.0}
    assert parts == pytest.approx({**expected, **others})
    assert sum(parts.values()) == pytest.approx(sum(measured.values()))


class Executor:
    """Trains a segment of five steps in 3 s, and evaluates after each."""

    def __init__(self, clock: Clock) -> None:
        timeline = Timeline(0, 10, 5, 10, 1, Cadence(5))
        monitor = SimpleNamespace(metric=MONITORED)
        self.program: Any = SimpleNamespace(timeline=timeline, monitor=monitor)
        self.state: Any = SimpleNamespace(progress=SimpleNamespace(step=0, reason=None, values={}))
        self.clock = clock

    def run(self, until: int) -> Iterator[Scalars]:
        del until
        self.state.progress.step += 5
        self.clock.advance(2.0)
        step = self.state.progress.step
        yield Scalars.single(step, 1, {"train/loss": 1.0}, 0.0)
        self.clock.advance(1.0)
        yield Scalars.single(step, 1, {MONITORED: 1.0}, 0.0)

    def evaluate(self) -> Iterator[Scalars]:
        self.clock.advance(0.25)
        yield Scalars.single(self.state.progress.step, 1, {MONITORED: 1.0}, 0.0)

    def evaluate_validation(self) -> Any: ...

    def evaluate_test(self) -> Any: ...


def test_training_is_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock()
    times = StepTimes(clock)
    called = []

    def hook(moment: Moment) -> None:
        called.append(moment.step)
        clock.advance(16.0)
        moment.recorder.write(Scalars.single(moment.step, 1, {"x/y": 1.0}, 0.0))

    profile = Profile(tmp_path)
    monkeypatch.setattr(profile, "stop", lambda: clock.advance(64.0))
    profile._calls = 1  # the trace has begun
    recorder: Any = SimpleNamespace(write=lambda _: clock.advance(0.5))
    hooks = [Every(Cadence(5), hook), Every(Cadence(10), profile)]
    began = clock.now
    with times.running():
        train_timed(times, Executor(clock), hooks, recorder, lambda: clock.advance(128.0))
        clock.advance(256.0)
    assert called == [5, 10]
    assert (times.steps, times.evaluations) == (10, 2)
    assert times.seconds == {
        "segments": 2 * 3.0,
        "recording": (2 * 2 + 2) * 0.5,
        "hooks": 2 * 16.0,
        "tracing": 64.0,
        "host": 2 * 128.0,
        "closing": 256.0,
    }
    assert sum(times.seconds.values()) == clock.now - began


def test_profile_prints_where_the_time_goes(run_here: Any, tmp_path: Path) -> None:
    short = ["loop.steps=40", "loop.profile=19", "recorder=[]", "loop.image_every=null"]
    done = run_here(*short, folder=tmp_path)
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines() if "%" in line]
    names = ["compute", "input", "evaluation", "recording", "hooks", "tracing"]
    assert [row[0] for row in rows] == [*names, "closing", "host", "wall"]
    seconds = [float(row[1]) for row in rows[:-1]]
    assert np.sum(seconds) == pytest.approx(float(rows[-1][2]), abs=0.005)
    assert seconds[0] > 0
    assert "40 steps and 3 evaluations" in done.out
