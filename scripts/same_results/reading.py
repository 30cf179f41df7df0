"""The contents of a folder as JSON: each file by its path, in a form that can be compared."""

import hashlib
import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event

_IGNORED = re.compile(r".*\.lock|inputs\.npy|partial.*")
_FOLDERS_IGNORED = {"conf", "my_project", "images", "arrays"}  # of the project, not of its runs
_PRESENCE = {"run.log", "sweep.log", "hydra.yaml", "multirun.yaml"}
"""Files of which the presence counts: logs, and what Hydra records of itself."""
_EVENTS = re.compile(r"events\.out\.tfevents\..*")


def read_folder(folder: Path) -> dict[str, Any]:
    """Returns the content of each file below a folder by its path."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_dir() or _IGNORED.fullmatch(file.name) or parts[0] in _FOLDERS_IGNORED:
            continue
        if _EVENTS.fullmatch(file.name):
            if parts[-2] in ("train", "val"):  # and not what the profiler leaves
                name = "/".join((*parts[:-1], "events"))
                found.setdefault(name, {}).update(_events(file))
            continue
        found["/".join(parts)] = _reader(file)(file)
    return found


def _reader(file: Path) -> Callable[[Path], Any]:
    if file.name in _PRESENCE or "plugins" in file.parts:
        return lambda _: "there"
    return _READERS.get(file.suffix or file.name, _digest_of)


def _digest_of(file: Path) -> str:
    return _digest(file.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _journal(file: Path) -> list[dict[str, Any]]:
    """The records of a journal, each number with its digits as they are written."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_float=str, parse_int=str) for line in lines]


def _text(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _page(file: Path) -> str:
    """The text of a report without its numbers, which are in other files, and without images."""
    text = re.sub(r"data:image/[^\"')]*", "IMAGE", file.read_text(encoding="utf-8"))
    return _digest(re.sub(r"[-+]?\d+(\.\d+)?(e-?\d+)?", "#", text).encode())


def _pixels(file: Path | io.BytesIO) -> str:
    pixels = np.asarray(Image.open(file))
    return f"{pixels.shape} {_digest(pixels.tobytes())}"


def _arrays(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            array = arrays[name]
            if name == "facts.json":
                found[name] = json.loads(
                    array.tobytes() if array.dtype == np.uint8 else array.item()
                )
            else:
                found[name] = f"{array.dtype} {array.shape} {_digest(array.tobytes())}"
    return found


def _model(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        found: dict[str, Any] = {
            name: json.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".json")
        }
        weights: dict[str, str] = {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored:
            stored.visititems(
                lambda name, item: (
                    weights.update({name: _digest(np.asarray(item).tobytes())})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    return {**found, "weights": weights}


def _events(file: Path) -> dict[str, str]:
    """Returns the data of TensorBoard by tag and step; of HParams, only whether there are any."""
    found = {}
    for content in _records(file.read_bytes()):
        event: Any = Event.FromString(content)
        for value in event.summary.value:
            is_hparams = value.tag.startswith("_hparams_")
            found[f"{value.tag} {event.step}"] = "there" if is_hparams else _shown(value)
    return found


def _shown(value: Any) -> Any:
    """A scalar, or a text, or an image without what PNG files say beside the pixels."""
    if not value.HasField("tensor"):
        return repr(value.simple_value)
    texts = list(value.tensor.string_val)
    if texts:
        return [
            _pixels(io.BytesIO(text)) if text[:4] == b"\x89PNG" else text.decode() for text in texts
        ]
    return str(value.tensor)


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file, without importing TensorFlow: length, CRC, data, CRC."""
    at = 0
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 8], "little")
        yield content[at + 12 : end]
        at = end + 4


def _database(file: Path) -> dict[str, Any]:
    """The runs of an MLflow store by their names; of each table all but ids and times."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        experiments = dict(connection.execute("select experiment_id, name from experiments"))
        runs = {
            run_id: {"experiment": experiments[experiment], "status": status, "stage": stage}
            for run_id, experiment, status, stage in connection.execute(
                "select run_uuid, experiment_id, status, lifecycle_stage from runs"
            )
        }
        names = dict(connection.execute("select run_uuid, name from runs"))
        for run_id, run in runs.items():
            run |= {table: _rows(connection, query, run_id) for table, query in _TABLES.items()}
    return {
        "experiments": sorted(experiments.values()),
        "names": sorted(names.values()),
        "runs": {name: runs[run_id] for run_id, name in names.items()},
    }


_TABLES = {
    "params": "select key, value from params where run_uuid = ? order by key",
    "tags": "select key, value from tags where run_uuid = ? order by key",
    "metrics": "select key, step, value, is_nan from metrics where run_uuid = ? order by 1, 2, 3",
    "latest": "select key, step, value, is_nan from latest_metrics where run_uuid = ? order by 1",
    "models": "select name, status from logged_models where source_run_id = ? order by 1",
}


def _rows(connection: sqlite3.Connection, query: str, run_id: str) -> list[Any]:
    return list(_plain(connection.execute(query, (run_id,))))


def _plain(rows: Any) -> Iterator[list[Any]]:
    for row in rows:
        yield [repr(value) if isinstance(value, float) else value for value in row]


_READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _journal,
    ".yaml": lambda file: yaml.safe_load(file.read_text(encoding="utf-8")),
    "MLmodel": lambda file: yaml.safe_load(file.read_text(encoding="utf-8")),
    ".csv": _text,
    ".md": _text,
    ".html": _page,
    ".png": _pixels,
    ".webp": _pixels,
    ".npz": _arrays,
    ".keras": _model,
    ".db": _database,
    ".py": lambda _: "there",  # the code that a model in MLflow brings with it
    ".diff": _text,
}
