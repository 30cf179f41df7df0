import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from record_helpers import Memory, make_run, one_record

from expt.record import background as module
from expt.record.background import BackgroundRecorder
from expt.record.journal import Journal
from expt.record.recorder import Fanout, Image, Record, Scalars
from expt.runs.run import Status


@pytest.mark.parametrize("fails_at", ["open", "write 2", "close FINISHED"])
def test_failing_sink_is_reported_once_and_stops_nothing(
    fails_at: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Memory(fails_at)
    background = BackgroundRecorder("sink", sink)
    run = make_run(tmp_path)
    with caplog.at_level(logging.WARNING):
        background.open(run)
        for step in (1, 2, 3):
            background.write(one_record(step))
        background.close(Status.FINISHED)
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == [f"sink: recording stopped: no {fails_at}. The journal is complete."]
    assert sink.calls[-1] == fails_at

    # The next run starts with a new attempt.
    background.open(run)
    background.write(one_record(7))
    background.close(Status.KILLED)
    background.stop()
    tried_again = ["open"] if fails_at == "open" else ["open", "write 7", "close KILLED"]
    assert sink.calls[-len(tried_again) :] == tried_again


def test_background_keeps_the_order_on_one_other_thread(tmp_path: Path) -> None:
    sink = Memory()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    for step in range(200):
        background.write(one_record(step))
    background.close(Status.FINISHED)
    background.stop()
    assert sink.calls == ["open", *(f"write {step}" for step in range(200)), "close FINISHED"]
    assert sink.threads == {"sink"}


class Busy(Memory):
    """A sink that blocks at each record until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, record: Record) -> None:
        self.go.wait()
        if isinstance(record, Scalars):
            super().write(record)


def test_killed_run_does_not_wait_for_a_busy_sink(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KILLED_SECONDS", 0.05)
    sink = Busy()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    background.write(one_record(1))
    with caplog.at_level(logging.WARNING):
        background.close(Status.KILLED)
        background.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "sink: still busy 0.05 s after the run was stopped; it may lack the last records. "
        "The journal is complete."
    ]
    assert sink.calls == ["open"]
    # The records are written nevertheless, if the process lives long enough.
    sink.go.set()
    background._thread.join(60)
    assert sink.calls == ["open", "write 1", "close KILLED"]


def test_killed_run_waits_for_a_sink_that_is_nearly_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Busy()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    background.write(one_record(1))
    assert not background.drain(0)
    threading.Timer(0.05, sink.go.set).start()
    background.close(Status.KILLED)
    background.stop()
    assert sink.calls == ["open", "write 1", "close KILLED"]
    assert not caplog.records


def test_sink_that_falls_behind_reads_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 10)
    run, sink, journal = make_run(tmp_path), Busy(), Journal()
    background = BackgroundRecorder("sink", sink)
    recorder = Fanout([journal, background])
    recorder.open(run)
    for step in range(200):
        recorder.write(one_record(step))
        # The image interrupts the stretch that the sink reads.
        if step == 99:
            background.write(Image(99, 0.0, "val/x", lambda: np.zeros((1, 1, 3), np.uint8)))
    assert len(background._waiting) <= 14
    sink.go.set()
    recorder.close(Status.FINISHED)
    background.stop()
    assert sink.calls == ["open", *(f"write {step}" for step in range(200)), "close FINISHED"]


def test_scalars_reach_the_sink_in_bulk(tmp_path: Path) -> None:
    sink = Bulk()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    for step in range(0, 200, 2):
        background.write(one_record(step))
        background.write(Scalars.single(step, 1, {"val/loss": 2.0}))
    background.close(Status.FINISHED)
    background.stop()
    received = {name: [*range(0, 200, 2)] for name in ("train/loss", "val/loss")}
    assert {
        name: [s for record in sink.records if name in record.values for s in record.steps]
        for name in received
    } == received
    assert len(sink.records) <= 4


class Bulk(Memory):
    """A sink that keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Scalars] = []

    def write(self, record: Record) -> None:
        assert isinstance(record, Scalars)
        self.records.append(record)


class Patient(Busy):
    """A busy sink that limits the duration of closing itself."""

    limits_closing = True


@pytest.mark.parametrize(("sink", "status"), [(Busy(), "FINISHED"), (Patient(), "KILLED")])
def test_close_waits_for_a_busy_sink(
    sink: Busy, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KILLED_SECONDS", 0.0)
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    background.write(one_record(1))
    threading.Timer(0.05, sink.go.set).start()
    background.close(Status(status))
    assert sink.calls == ["open", "write 1", f"close {status}"]
    background.stop()
