"""The TensorBoard recorder, which writes event files in bulk.

`tf.summary.scalar` takes over 200 µs per value, `encode_scalars` well below 1 µs per step.
"""

import os
import platform
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.text.summary_v2 import text_pb

from expt.record.event_encoding import encode_scalars, frame
from expt.record.histograms import read_histograms
from expt.record.hparams import hparams
from expt.record.journal import FILE_NAME
from expt.record.layers import read_layers
from expt.record.recorder import PARTIAL, Histogram, Image, Record, Scalars
from expt.record.replay import read_images, read_scalars
from expt.runs.run import Run, Status

_TRAINING, _VALIDATION = "train", "val"
_FOLDERS = (_TRAINING, _VALIDATION)
_FORMER_FOLDERS = ("", "test")
"""Folders of event files of earlier versions: the run's directory and one for the test split."""

BEST = "summary/"
"""The prefix of the tags of best values; TensorBoard sorts their cards behind those of curves."""

_EVENTS = "events.out.tfevents."
_HIDDEN = f"{PARTIAL}events."  # without "tfevents", by which TensorBoard finds event files


class TensorBoardRecorder:
    """A recorder of scalars, images, histograms, the config as text, and HParams for TensorBoard.

    For TensorBoard a run is two runs, its subfolders `train` and `val`. Metrics of both splits
    have tags without the split's name, such as `loss`, so that they share a card. All other
    metrics, such as those of the test split, are in `val` under their full names: a third folder
    would be a third run, and TensorBoard enables 40 runs at most.
    """

    _run: Run
    _files: dict[str, "_EventFile"]
    _is_rebuilding: bool
    _rebuilt_images: set[tuple[str, int]]
    _rebuilt_histograms: set[tuple[str, int]]

    def open(self, run: Run) -> None:
        """Writes the config and the start of the HParams session.

        The event files of a resumed run are replaced by new ones, written from the journal and the
        image files, since those of a killed process may end anywhere.
        """
        self._run, self._files = run, {}
        self._rebuilt_images, self._rebuilt_histograms = set(), set()
        self._is_rebuilding = run.is_resumed
        try:
            self._write_texts()
            if run.is_resumed:
                self._rebuild()
        except BaseException:
            for file in self._files.values():
                file.close()
            self._discard_hidden()
            raise

    def write(self, record: Record) -> None:
        """Writes scalars, images and histograms."""
        self._write(record)
        for file in self._files.values():
            file.flush()

    def close(self, status: Status) -> None:
        """Writes the metrics of the best model, ends the HParams session, and closes the files."""
        # Imported here, since it imports TensorFlow; see `_write_texts`.
        from tensorboard.plugins.hparams.summary import session_end_pb

        self._write_best()
        outcome = {
            Status.FINISHED: api_pb2.STATUS_SUCCESS,
            Status.FAILED: api_pb2.STATUS_FAILURE,
        }.get(status, api_pb2.STATUS_UNKNOWN)
        end = _as_summary(session_end_pb(outcome))
        self._file(_VALIDATION).write(Event(wall_time=time.time(), summary=end))
        for file in self._files.values():
            file.close()

    def _write_best(self) -> None:
        """Writes one point per metric under separate tags.

        The HParams tab shows the last point of each tag, which for a curve is not the best one.
        """
        best = self._run.record.best
        if best is not None:
            found = {"step": best.step, **best.values}
            values = {f"{BEST}best/{name}": value for name, value in found.items()}
            self._write_scalars(Scalars.single(best.step, 0, values))

    def _file(self, folder: str) -> "_EventFile":
        if folder not in self._files:
            self._files[folder] = _EventFile(self._run.directory / folder, self._is_rebuilding)
        return self._files[folder]

    def _write_texts(self) -> None:
        # Imported here, since it imports TensorFlow, and recorders are created before that.
        from tensorboard.plugins.hparams.api import hparams_pb

        run, file = self._run, self._file(_VALIDATION)
        # TensorBoard merges trials of the same id into one row. Names of runs are unique within an
        # experiment.
        name = f"{run.record.name}/{run.record.run_name}"
        texts = (
            hparams_pb(hparams(run), trial_id=name),
            text_pb("config", _as_markdown(run.config)),
            text_pb("layers", read_layers(run.directory)),
        )
        for text in texts:
            file.write(Event(wall_time=time.time(), summary=_as_summary(text)))
        file.flush()

    def _rebuild(self) -> None:
        """Writes new event files under hidden names, removes the old ones, and shows the new ones.

        A crash before the removal changes nothing. After a crash later on, points may be missing
        until the run is resumed again, but none are duplicated.
        """
        directory = self._run.directory
        for scalars in read_scalars(directory / FILE_NAME, self._run.recorded):
            self._write(scalars)
        for image in read_images(directory):
            self._write(image)
            self._rebuilt_images.add((image.name, image.step))
        for histogram in read_histograms(directory):
            self._write(histogram)
            self._rebuilt_histograms.add((histogram.name, histogram.step))
        for file in self._files.values():
            file.flush()
        for folder in (*_FOLDERS, *_FORMER_FOLDERS):
            for path in (directory / folder).glob(f"{_EVENTS}*"):
                path.unlink()
        with suppress(OSError):  # it does not exist, or has files of the user
            (directory / "test").rmdir()
        for file in self._files.values():
            file.show()
        self._is_rebuilding = False
        self._discard_hidden()

    def _discard_hidden(self) -> None:
        for folder in (*_FOLDERS, *_FORMER_FOLDERS):
            for path in (self._run.directory / folder).glob(f"{_HIDDEN}*"):
                path.unlink()

    def _write(self, record: Record) -> None:
        if isinstance(record, Scalars):
            self._write_scalars(record)
        # An image of this process may already have had its file when `_rebuild` read the folder.
        elif isinstance(record, Image) and (record.name, record.step) not in self._rebuilt_images:
            self._write_image(record)
        elif (
            isinstance(record, Histogram)
            and (record.name, record.step) not in self._rebuilt_histograms
        ):
            self._write_histogram(record)

    def _write_image(self, record: Image) -> None:
        # The name of the PNG file. Without a slash, cards of images are sorted behind curves.
        tag = record.name.replace("/", "_")
        height, width = record.pixels().shape[:2]
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=record.png()
        )
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        event = Event(wall_time=record.time, step=record.step, summary=summary)
        self._file(_VALIDATION).write(event)

    def _write_histogram(self, record: Histogram) -> None:
        value = Summary.Value(tag=record.name, histo=_as_proto(record))
        event = Event(wall_time=record.time, step=record.step, summary=Summary(value=[value]))
        self._file(_VALIDATION).write(event)

    def _place(self, name: str) -> tuple[str, str]:
        """Returns the folder of a metric, and its tag there.

        A metric that only training has, such as `train/learning_rate`, keeps its full name, so
        that its card is in a separate section and does not displace those of losses and metrics.
        """
        split, _, tag = name.partition("/")
        if split == _VALIDATION:
            return _VALIDATION, tag
        if split != _TRAINING:
            return _VALIDATION, name
        is_shared = tag.endswith("loss") or tag in self._run.config.get("metric", ())
        return _TRAINING, tag if is_shared else name

    def _write_scalars(self, scalars: Scalars) -> None:
        by_folder: dict[str, dict[str, NDArray[np.float32]]] = {}
        for name, column in scalars.values.items():
            folder, tag = self._place(name)
            by_folder.setdefault(folder, {})[tag] = column
        for folder, columns in by_folder.items():
            self._file(folder).write_scalars(scalars.steps, scalars.times, columns)


class _EventFile:
    """A TensorBoard event file, in which one event holds all values of a step.

    Args:
        folder: The folder of the file, which is created if it does not exist.
        is_hidden: Whether TensorBoard does not see the file until `show` is called.
    """

    def __init__(self, folder: Path, is_hidden: bool) -> None:
        folder.mkdir(exist_ok=True)
        suffix = f"{time.time():.6f}.{platform.node()}.{os.getpid()}"
        self._path, self._shown_path = folder / f"{_HIDDEN}{suffix}", folder / f"{_EVENTS}{suffix}"
        if not is_hidden:
            self._path = self._shown_path
        self._file = self._path.open("wb")
        self.write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        # Makes a running TensorBoard discard the points of previous files of this run.
        self.write(Event(wall_time=time.time(), session_log=SessionLog(status=SessionLog.START)))

    def show(self) -> None:
        """Renames the file so that TensorBoard finds it; the open writer continues in it."""
        self._path.replace(self._shown_path)

    def write(self, event: Event) -> None:
        self._file.write(frame(event.SerializeToString()))

    def write_scalars(
        self,
        steps: NDArray[np.int64],
        times: NDArray[np.float64],
        columns: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._file.write(encode_scalars(steps, times, columns))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _as_summary(summary: Any) -> Summary:
    """Converts a summary to TensorBoard's class; plugins may return TensorFlow's class instead."""
    return Summary.FromString(summary.SerializeToString())


def _as_proto(record: Histogram) -> HistogramProto:
    # A bucket is everything up to its limit, so the first limit has no counts below it.
    edges = record.edges.tolist()
    return HistogramProto(
        min=edges[0] if edges else 0.0,
        max=edges[-1] if edges else 0.0,
        num=float(record.counts.sum()),
        sum=record.total,
        sum_squares=record.squares,
        bucket_limit=edges[1:],
        bucket=record.counts.tolist(),
    )


def _as_markdown(config: Mapping[str, Any]) -> str:
    # Four spaces make a code block in Markdown.
    lines: Iterable[str] = yaml.safe_dump(dict(config), sort_keys=False).splitlines()
    return "\n".join(f"    {line}" for line in lines)
