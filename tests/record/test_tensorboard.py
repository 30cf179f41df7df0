from dataclasses import replace
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from record_helpers import make_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from expt.errors import UserError
from expt.record.histograms import HistogramRecorder
from expt.record.images import ImageRecorder
from expt.record.journal import FILE_NAME, Journal, complete_size
from expt.record.recorder import Fanout, Histogram, Image, Scalars
from expt.record.tensorboard import TensorBoardRecorder
from expt.runs.run import Run, Status


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0}
    )
    events.Reload()
    return events


def test_training_is_beside_all_else_and_shares_its_tags(tmp_path: Path) -> None:
    recorder = TensorBoardRecorder()
    recorder.open(make_run(tmp_path, metric={"accuracy": {}}))
    steps = np.arange(1, 4)
    column = np.array([0.1, np.nan, 3e38], np.float32)
    places = {
        "train/loss": ("train", "loss"),
        "train/discriminator_loss": ("train", "discriminator_loss"),
        "train/accuracy": ("train", "accuracy"),
        "train/learning_rate": ("train", "train/learning_rate"),
        "val/loss": ("val", "loss"),
        "val/accuracy": ("val", "accuracy"),
        "val/distance": ("val", "distance"),
        "test/loss": ("val", "test/loss"),
        "perf/steps_per_s": ("val", "perf/steps_per_s"),
    }
    times = steps.astype(np.float64) + 0.25
    recorder.write(Scalars(steps, steps, times, dict.fromkeys(places, column)))
    recorder.write(Image(2, 9.5, "val/grid", lambda: np.zeros((4, 6, 3), np.uint8)))
    recorder.close(Status.FINISHED)
    for folder, tag in places.values():
        scalars = _events(tmp_path / folder).Scalars(tag)
        assert [event.step for event in scalars] == [1, 2, 3]
        assert [event.wall_time for event in scalars] == [1.25, 2.25, 3.25]
        np.testing.assert_array_equal(np.array([e.value for e in scalars], np.float32), column)
    (image,) = _events(tmp_path / "val").Images("val_grid")
    assert (image.step, image.height, image.width) == (2, 4, 6)
    assert {path.parent.name for path in _event_files(tmp_path)} == {"train", "val"}


def test_values_are_visible_before_close(tmp_path: Path) -> None:
    recorder = TensorBoardRecorder()
    recorder.open(make_run(tmp_path))
    recorder.write(Scalars.single(1, 1, {"train/loss": 2.0}))
    assert _events(tmp_path / "train").Scalars("loss")[0].value == 2.0
    recorder.close(Status.KILLED)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.FINISHED, api_pb2.STATUS_SUCCESS),
        (Status.FAILED, api_pb2.STATUS_FAILURE),
        (Status.KILLED, api_pb2.STATUS_UNKNOWN),
    ],
)
def test_hparams_session_starts_and_ends(status: Status, outcome: int, tmp_path: Path) -> None:
    recorder = TensorBoardRecorder()
    recorder.open(make_run(tmp_path))
    recorder.close(status)
    found = _events(tmp_path / "val").summary_metadata
    start, end = (
        HParamsPluginData.FromString(found[f"_hparams_/session_{part}_info"].plugin_data.content)
        for part in ("start", "end")
    )
    assert start.session_start_info.hparams["seed"].number_value == 3
    assert start.session_start_info.group_name == "experiment/name_of_the_run"
    assert end.session_end_info.status == outcome


def test_metrics_of_the_best_model_are_written_at_close(tmp_path: Path) -> None:
    recorder, run = TensorBoardRecorder(), make_run(tmp_path)
    recorder.open(run)
    run.update(best={"step": 7, "watched": "val/loss", "val/loss": 0.25, "val/accuracy": 0.5})
    recorder.close(Status.FINISHED)
    events = _events(tmp_path / "val")
    for name, value in (("step", 7.0), ("val/loss", 0.25), ("val/accuracy", 0.5)):
        (point,) = events.Scalars(f"summary/best/{name}")
        assert (point.step, point.value) == (7, value)
    assert len(events.Tags()["scalars"]) == 3


PIXELS = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
PLACES = (("train", "loss"), ("val", "loss"), ("val", "perf/steps_per_s"))
Points = list[tuple[int, float, float]]


def _block(first: int, last: int) -> Scalars:
    steps = np.arange(first, last + 1)
    times = steps.astype(np.float64) + 0.25
    return Scalars(steps, steps, times, {"train/loss": np.sqrt(steps).astype(np.float32)})


def _evaluation(step: int) -> Scalars:
    values = {"val/loss": np.array([step / 3], np.float32), "perf/steps_per_s": np.ones(1, "f4")}
    return Scalars(np.array([step]), np.array([1]), np.array([step + 0.5]), values)


def _image(step: int) -> Image:
    return Image(step, step + 0.75, "val/grid", lambda: PIXELS + np.uint8(step))


def _histogram(step: int) -> Histogram:
    return Histogram.of(step, step + 0.5, "gradients/dense", np.array([0.0, 1.0, 3.0]) * step)


def _killed(folder: Path) -> Run:
    """Writes the files of a killed process, whose event files lack steps 4 to 6."""
    run, board = make_run(folder), TensorBoardRecorder()
    recorder = Fanout([Journal(), ImageRecorder(), HistogramRecorder()])
    recorder.open(run)
    board.open(run)
    for record in (_block(1, 3), _evaluation(3), _image(3), _histogram(3)):
        recorder.write(record)
        board.write(record)
    for record in (_block(4, 6), _evaluation(6), _image(6), _histogram(6)):
        recorder.write(record)
    recorder.close(Status.KILLED)
    for file in board._files.values():
        file.close()  # as the end of the process does
    return replace(run, is_resumed=True, recorded=complete_size(folder / FILE_NAME))


def _resume(run: Run) -> None:
    """Records like a process that resumes at step 6; its last image already has a file."""
    recorder = TensorBoardRecorder()
    recorder.open(run)
    for record in (_block(7, 9), _evaluation(9), _image(9), _image(6), _histogram(6)):
        recorder.write(record)
    recorder.close(Status.FINISHED)


def _points(folder: Path) -> list[Points]:
    found = [_events(folder / place).Scalars(tag) for place, tag in PLACES]
    return [[(point.step, point.wall_time, point.value) for point in points] for points in found]


def _expected(last: int) -> list[Points]:
    evaluated = range(3, last + 1, 3)
    return [
        [(step, step + 0.25, float(np.float32(np.sqrt(step)))) for step in range(1, last + 1)],
        [(step, step + 0.5, float(np.float32(step / 3))) for step in evaluated],
        [(step, step + 0.5, 1.0) for step in evaluated],
    ]


def _event_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*events*") if path.is_file())


def test_resumed_run_has_every_point_once(tmp_path: Path) -> None:
    run = _killed(tmp_path)
    assert _points(tmp_path) == _expected(3)
    _resume(run)
    assert _points(tmp_path) == _expected(9)
    images = _events(tmp_path / "val").Images("val_grid")
    assert [(image.step, image.wall_time) for image in images] == [(s, s + 0.75) for s in (3, 6, 9)]
    assert [image.encoded_image_string for image in images] == [_image(s).png() for s in (3, 6, 9)]
    assert len(_event_files(tmp_path)) == 2
    histograms = _events(tmp_path / "val").Histograms("gradients/dense")
    assert [one.step for one in histograms] == [3, 6]
    shown = histograms[0].histogram_value
    assert (shown.min, shown.max, shown.num, shown.sum, shown.sum_squares) == (0, 9, 3, 12, 90)
    assert list(shown.bucket_limit) == pytest.approx(np.linspace(0, 9, 31)[1:])
    assert [n for n, count in enumerate(shown.bucket) if count] == [0, 10, 29]
    events = _events(tmp_path / "val")
    assert {"config", "layers", "_hparams_/session_start_info"} <= events.summary_metadata.keys()
    assert {"config", "layers"} <= set(events.Tags()["tensors"])


def test_event_files_of_earlier_versions_are_replaced(tmp_path: Path) -> None:
    run = _killed(tmp_path)
    for folder in (tmp_path, tmp_path / "test"):
        folder.mkdir(exist_ok=True)
        copy(_event_files(tmp_path / "val")[0], folder / "events.out.tfevents.1.here.2")
    _resume(run)
    assert _points(tmp_path) == _expected(9)
    assert {path.parent.name for path in _event_files(tmp_path)} == {"train", "val"}
    assert not (tmp_path / "test").exists()


def test_rebuilding_ignores_records_of_this_process(
    tmp_path: Path,
) -> None:
    run = _killed(tmp_path)
    journal = Journal()
    journal.open(run)
    journal.write(_block(7, 9))  # before the recorder is opened on its thread
    journal.close(Status.KILLED)
    _resume(run)
    assert _points(tmp_path) == _expected(9)


def test_failed_rebuilding_keeps_the_previous_files(tmp_path: Path) -> None:
    run = _killed(tmp_path)
    before = {path: path.read_bytes() for path in _event_files(tmp_path)}
    journal = tmp_path / FILE_NAME
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'{"step": 6', b'{"step"; 6', 1))
    with pytest.raises(UserError, match="damaged in line 7"):
        TensorBoardRecorder().open(run)
    assert {path: path.read_bytes() for path in _event_files(tmp_path)} == before
    journal.write_bytes(whole)
    _resume(run)
    assert _points(tmp_path) == _expected(9)


@pytest.mark.parametrize("step", ["unlink", "replace"])
def test_crash_while_files_are_replaced_duplicates_no_point(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = _killed(tmp_path), list[Path]()
    original = getattr(Path, step)

    def crash(path: Path, *arguments: Path) -> None:
        calls.append(path)
        if len(calls) > 1:
            raise KeyboardInterrupt  # the clean-up calls this function too, and fails as well
        original(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Path, step, crash)
        recorder = TensorBoardRecorder()
        with pytest.raises(KeyboardInterrupt):
            recorder.open(run)
    if step == "replace":  # the first file was replaced and is complete
        assert len(_events(tmp_path / "val").Scalars("perf/steps_per_s")) == 2
    for (place, tag), expected in zip(PLACES, _expected(6), strict=True):
        events = _events(tmp_path / place)
        if tag in events.Tags()["scalars"]:
            steps = [point.step for point in events.Scalars(tag)]
            assert steps == [point[0] for point in expected][: len(steps)]
    _resume(run)
    assert _points(tmp_path) == _expected(9)
    assert len(_event_files(tmp_path)) == 2


def test_running_tensorboard_shows_no_point_twice(tmp_path: Path) -> None:
    run = _killed(tmp_path)
    open_board = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    assert [point.step for point in open_board.Tensors("train", "loss")] == [1, 2, 3]
    _resume(run)
    open_board.AddRunsFromDirectory(str(tmp_path)).Reload()
    assert sorted(open_board.Runs()) == ["train", "val"]
    for (place, tag), expected in zip(PLACES, _expected(9), strict=True):
        points = open_board.Tensors(place, tag)
        assert [point.step for point in points] == [point[0] for point in expected]
    assert [point.step for point in open_board.Tensors("val", "val_grid")] == [3, 6, 9]
