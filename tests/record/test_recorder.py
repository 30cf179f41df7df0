import io
import logging
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from record_helpers import make_run

from expt.record import recorder as recorder_module
from expt.record.recorder import BackgroundRecorder, Fanout, Image, Record, Scalars
from expt.runs.run import Run, Status


class Memory:
    """A recorder that stores its calls in memory, and raises at the call `fails_at`."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self._fails_at = fails_at

    def open(self, run: Run) -> None:
        assert run.record
        self._note("open")

    def write(self, record: Record) -> None:
        assert isinstance(record, Scalars)
        self._note(f"write {record.steps[0]}")

    def close(self, status: Status) -> None:
        self._note(f"close {status}")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)
        if call == self._fails_at:
            raise OSError(f"no {call}")


def _record(step: int) -> Scalars:
    return Scalars.single(step, 1, {"train/loss": 1.0})


def test_fanout_closes_all_recorders_even_if_one_raises() -> None:
    first, broken, last = Memory(), Memory("close FAILED"), Memory()
    fanout = Fanout([first, broken, last])
    fanout.write(_record(1))
    with pytest.raises(OSError, match="no close"):
        fanout.close(Status.FAILED)
    for memory in (first, broken, last):
        assert memory.calls == ["write 1", "close FAILED"]


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
            background.write(_record(step))
        background.close(Status.FINISHED)
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == [f"sink: recording stopped: no {fails_at}. The journal is complete."]
    assert sink.calls[-1] == fails_at

    # The next run starts with a new attempt.
    background.open(run)
    background.write(_record(7))
    background.close(Status.KILLED)
    background.stop()
    tried_again = ["open"] if fails_at == "open" else ["open", "write 7", "close KILLED"]
    assert sink.calls[-len(tried_again) :] == tried_again


def test_background_keeps_the_order_on_one_other_thread(tmp_path: Path) -> None:
    sink = Memory()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    for step in range(200):
        background.write(_record(step))
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
        super().write(record)


def test_killed_run_does_not_wait_for_a_busy_sink(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_KILLED_SECONDS", 0.05)
    sink = Busy()
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    background.write(_record(1))
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
    background.write(_record(1))
    assert not background.drain(0)
    threading.Timer(0.05, sink.go.set).start()
    background.close(Status.KILLED)
    background.stop()
    assert sink.calls == ["open", "write 1", "close KILLED"]
    assert not caplog.records


class Patient(Busy):
    """A busy sink that limits the duration of closing itself."""

    limits_closing = True


@pytest.mark.parametrize(("sink", "status"), [(Busy(), "FINISHED"), (Patient(), "KILLED")])
def test_close_waits_for_a_busy_sink(
    sink: Busy, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_KILLED_SECONDS", 0.0)
    background = BackgroundRecorder("sink", sink)
    background.open(make_run(tmp_path))
    background.write(_record(1))
    threading.Timer(0.05, sink.go.set).start()
    background.close(Status(status))
    assert sink.calls == ["open", "write 1", f"close {status}"]
    background.stop()


def test_png_has_name_step_and_time() -> None:
    image = Image(12, 1_795_400_000.123456789, "val/α", lambda: np.zeros((2, 3, 3), np.uint8))
    with PillowImage.open(io.BytesIO(image.png())) as decoded:
        texts = dict(decoded.info)
    assert (texts["name"], texts["step"]) == ("val/α", "12")
    assert float(texts["time"]) == image.time


def test_image_is_drawn_once_and_pickles_as_pixels() -> None:
    drawn: list[int] = []

    def draw() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        drawn.append(1)
        return np.full((4, 6, 3), 7, np.uint8)

    image = Image(step=5, time=1.5, name="val/x", draw=draw)
    copy = pickle.loads(pickle.dumps(image))  # noqa: S301
    assert image.png() == copy.png()
    assert (copy.step, copy.time, copy.name) == (5, 1.5, "val/x")
    np.testing.assert_array_equal(copy.pixels(), image.pixels())
    assert len(drawn) == 1
