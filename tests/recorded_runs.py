"""Runs on disk as training leaves them, as far as their data is concerned; made without it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from expt.config.compose import compose_jobs
from expt.config.declarations import task_of
from expt.parts.data.example_hashes import ExampleHashes
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord
from expt.train.data_loading import DataLoader


def record_run(folder: Path, *overrides: str, is_older: bool = False) -> FoundRun:
    """Records a run that was trained on some data.

    Args:
        folder: Holds the run's directory.
        overrides: Of the run.
        is_older: Whether to record what runs did before they kept hashes and names.
    """
    directory = folder / "run"
    (directory / ".hydra").mkdir(parents=True)
    (job, *_), _ = compose_jobs([f"output_dir={folder}", *overrides], None, multirun=False)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(job.config.to_mapping()))
    dataset, hashes = DataLoader()(job), None
    data: dict[str, Any] = {
        "name": dataset.name,
        "source": job.config.data["_target_"],
        "task": task_of(job, dataset.task),
        "fingerprint": dataset.content_fingerprint,
        "preparation": dataset.preparation,
        "input_shape": list(dataset.input_shape),
        "class_names": list(dataset.class_names),
        "input_scale": None,
        "target_scale": None,
    }
    if not is_older:
        hashes = ExampleHashes.of(dataset)
        data |= {
            "fingerprint": dataset.fingerprint,
            "feature_names": list(dataset.feature_names),
            "other_columns": dict(dataset.other_columns),
            "example_hashes": None if hashes is None else hashes.kind,
        }
    if hashes is not None:
        hashes.write(directory)
    record = {"choices": job.choices, "overrides": list(job.overrides), "data": data}
    return FoundRun(directory, RunRecord.of(record), folder)


Recorded = Callable[..., FoundRun]
