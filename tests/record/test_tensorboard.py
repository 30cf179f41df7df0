from pathlib import Path

import numpy as np
import pytest
from record_helpers import make_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from expt.record.recorder import Image, Scalars
from expt.record.run import Status
from expt.record.tensorboard import TensorBoardRecorder


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def test_splits_are_folders_that_share_tags(tmp_path: Path) -> None:
    recorder = TensorBoardRecorder()
    recorder.open(make_run(tmp_path))
    steps = np.arange(1, 4)
    column = np.array([0.1, np.nan, 3e38], np.float32)
    names = ("train/loss", "val/loss", "test/loss", "perf/steps_per_s")
    recorder.write(
        Scalars(steps, steps, steps.astype(np.float64) + 0.25, dict.fromkeys(names, column))
    )
    recorder.write(Image(2, 9.5, "val/grid", lambda: np.zeros((4, 6, 3), np.uint8)))
    recorder.close(Status.FINISHED)
    for folder, tag in (("train", "loss"), ("val", "loss"), ("test", "loss"), ("", names[3])):
        scalars = _events(tmp_path / folder).Scalars(tag)
        assert [event.step for event in scalars] == [1, 2, 3]
        assert [event.wall_time for event in scalars] == [1.25, 2.25, 3.25]
        np.testing.assert_array_equal(np.array([e.value for e in scalars], np.float32), column)
    (image,) = _events(tmp_path / "val").Images("grid")
    assert (image.step, image.height, image.width) == (2, 4, 6)


def test_values_can_be_seen_before_the_close(tmp_path: Path) -> None:
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
    found = _events(tmp_path).summary_metadata
    start, end = (
        HParamsPluginData.FromString(found[f"_hparams_/session_{part}_info"].plugin_data.content)
        for part in ("start", "end")
    )
    hparams = start.session_start_info.hparams
    assert hparams["act"].string_value == "relu"
    assert hparams["seed"].number_value == 3
    assert hparams["model.units"].string_value == "[1, 2]"
    assert end.session_end_info.status == outcome
