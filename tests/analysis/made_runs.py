"""Writers of run directories that look like those of real runs, with chosen values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

DEFAULTS: Mapping[str, Any] = {
    "act": "relu",
    "optimizer": "adam",
    "loss": "crossentropy",
    "optimizer.learning_rate": 0.001,
    "model.units": [128, 128],
    "loop.image_every": "10ep",
    "loop.direction": None,
}


def write_run(
    directory: Path,
    params: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    values: Mapping[str, float] | None = None,
    **fields: Any,
) -> Path:
    """Writes the run.json of a finished run.

    Args:
        directory: The directory of the run.
        params: The parameters that differ from the defaults.
        seed: The seed.
        values: The last values by full name; validation metrics have the same best values.
        fields: Further fields of the record, which replace the defaults.
    """
    given = {**DEFAULTS, **(params or {})}
    numbers = {"val/loss": 0.5, "val/accuracy": 0.9} if values is None else dict(values)
    best = {name: value for name, value in numbers.items() if name.startswith("val/")}
    record = {
        "name": "default",
        "status": "FINISHED",
        "started": 100.0,
        "ended": 104.0,
        "seed": seed,
        "variant_hash": json.dumps(given, sort_keys=True),
        "params": {**given, "seed": seed},
        "overrides": [f"{key}={value}" for key, value in (params or {}).items()],
        "choices": {key: given[key] for key in ("act", "optimizer", "loss")},
        "larger_is_better": ["accuracy"],
        "watched": "val/loss",
        "data": {"name": "digits", "fingerprint": "f" * 32},
        "parameters": 1000,
        "training_seconds": 2.0,
        "peak_memory": 500_000_000,
        "best": {"step": 40, "watched": "val/loss", **best},
        "final": {"step": 50, "train/grad_norm": 1.0, **numbers},
        "error": None,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(record | fields))
    return directory


def write_sweep(
    folder: Path, variants: Sequence[tuple[Mapping[str, Any], Sequence[float]]], metric: str
) -> Path:
    """Writes a sweep, given the parameters of each variant and a value of a metric per seed."""
    jobs = [
        (params, seed, value) for params, column in variants for seed, value in enumerate(column)
    ]
    for number, (params, seed, value) in enumerate(jobs):
        values = {"val/loss": 0.5, "val/accuracy": 0.9, metric: value}
        write_run(folder / f"{number}_job", params, seed=seed, values=values)
    return folder


def write_journal(directory: Path, records: Sequence[Mapping[str, Any]], end: str = "") -> None:
    """Writes a journal; each record needs a step and values."""
    lines = [json.dumps({"epoch": 1, "time": 1.0, **record}) + "\n" for record in records]
    (directory / "metrics.jsonl").write_text("".join(lines) + end)


def write_image(directory: Path, name: str, step: int, color: tuple[int, int, int]) -> None:
    """Writes an image of one color."""
    (directory / "images").mkdir(exist_ok=True)
    texts = PngInfo()
    for key, text in (("name", name), ("step", str(step)), ("time", "1.0")):
        texts.add_text(key, text)
    file = directory / "images" / f"{name.replace('/', '_')}_{step:07d}.png"
    Image.new("RGB", (900, 600), color).save(file, pnginfo=texts)


def write_plan(sweep: Path, **jobs: Mapping[str, Any]) -> Path:
    """Writes the plan of a sweep, and the directories of its jobs as they are before the start.

    Args:
        sweep: The directory of the sweep.
        jobs: The fields of each job's entry, at least its status, by the name of its directory.
    """
    entries = []
    for name, fields in jobs.items():
        (sweep / name / ".hydra").mkdir(parents=True, exist_ok=True)
        entry = {"directory": name, "overrides": ["act=relu"], "error": None, "reused": None}
        entries.append(entry | dict(fields))
    record = {"status": "RUNNING", "started": 1_000.0, "jobs": entries}
    (sweep / "sweep.json").write_text(json.dumps(record))
    return sweep
