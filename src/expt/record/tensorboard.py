"""TensorBoard: event files written in bulk."""

import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.text.summary_v2 import text_pb

from expt.record.layers import read_layers
from expt.record.recorder import Image, Record, Scalars
from expt.record.run import Run, Status

_SPLITS = ("train", "val", "test")


class TensorBoardRecorder:
    """Writes scalars, images, the config as text, and HParams.

    A split is a subfolder of the run's directory with tags that lack the split's name, so that
    train and validation share a chart; all else stands in the run's directory itself.
    """

    _run: Run
    _files: dict[str, "_EventFile"]

    def open(self, run: Run) -> None:
        """Writes the config and the start of the HParams session."""
        # Not above: it imports TensorFlow, and recorders are made before that is started.
        from tensorboard.plugins.hparams.api import hparams_pb

        self._run = run
        self._files = {}
        root = self._file("")
        start = hparams_pb(_hparams(run.params), trial_id=run.directory.name)
        root.write(Event(wall_time=time.time(), summary=_rebuilt(start)))
        text = text_pb("config", _as_markdown(run.config))
        root.write(Event(wall_time=time.time(), summary=_rebuilt(text)))
        layers = text_pb("layers", read_layers(run.directory))
        root.write(Event(wall_time=time.time(), summary=_rebuilt(layers)))
        root.flush()

    def write(self, record: Record) -> None:
        """Writes scalars and images."""
        if isinstance(record, Scalars):
            self._write_scalars(record)
        elif isinstance(record, Image):
            folder, tag = _place(record.name)
            height, width = record.pixels().shape[:2]
            image = Summary.Image(
                height=height, width=width, colorspace=3, encoded_image_string=record.png()
            )
            summary = Summary(value=[Summary.Value(tag=tag, image=image)])
            self._file(folder).write(
                Event(wall_time=record.time, step=record.step, summary=summary)
            )
        for file in self._files.values():
            file.flush()

    def close(self, status: Status) -> None:
        """Writes the end of the HParams session and closes the files."""
        from tensorboard.plugins.hparams.summary import session_end_pb

        outcome = {
            Status.FINISHED: api_pb2.STATUS_SUCCESS,
            Status.FAILED: api_pb2.STATUS_FAILURE,
        }.get(status, api_pb2.STATUS_UNKNOWN)
        end = _rebuilt(session_end_pb(outcome))
        self._file("").write(Event(wall_time=time.time(), summary=end))
        for file in self._files.values():
            file.close()

    def _file(self, folder: str) -> "_EventFile":
        if folder not in self._files:
            self._files[folder] = _EventFile(self._run.directory / folder)
        return self._files[folder]

    def _write_scalars(self, scalars: Scalars) -> None:
        by_folder: dict[str, dict[str, list[float]]] = {}
        for name, column in scalars.values.items():
            folder, tag = _place(name)
            by_folder.setdefault(folder, {})[tag] = column.tolist()
        for folder, columns in by_folder.items():
            file = self._file(folder)
            rows = zip(
                scalars.steps.tolist(), scalars.times.tolist(), *columns.values(), strict=True
            )
            for step, moment, *values in rows:
                pairs = zip(columns, values, strict=True)
                summary = Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in pairs])
                file.write(Event(wall_time=moment, step=step, summary=summary))


class _EventFile:
    """A TensorBoard event file. One event holds all of a step's values."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}"
        self._writer = tf.io.TFRecordWriter(str(folder / name))
        self.write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _place(name: str) -> tuple[str, str]:
    split, _, tag = name.partition("/")
    return (split, tag) if split in _SPLITS else ("", name)


def _hparams(params: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """The parameters, with lists and None as text."""
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in params.items()
    }


def _rebuilt(summary: Any) -> Summary:
    """Makes TensorBoard's class of summary from whichever its plugins return: theirs or TF's."""
    return Summary.FromString(summary.SerializeToString())


def _as_markdown(config: Mapping[str, Any]) -> str:
    lines: Iterable[str] = yaml.safe_dump(dict(config), sort_keys=False).splitlines()
    return "\n".join(f"    {line}" for line in lines)
