"""Checks that the three stores of a run hold each value once, and the same ones."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mlflow_helpers import assert_final_values, is_final, renamed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expt.record.journal import read_journal
from expt.record.tensorboard import BEST

Values = dict[str, dict[int, np.float32]]
Steps = dict[str, list[int]]


def journal_values(directory: Path) -> Values:
    """Values of the journal by name and step."""
    return _once(
        (name, record["step"], value)
        for record in read_journal(directory / "metrics.jsonl")
        for name, value in record.items()
        if "/" in name
    )


def tensorboard_values(directory: Path) -> tuple[Values, Steps]:
    """Scalars by name and step, without those of the best step, and the steps of images by name."""
    values, images = [], {}
    for folder in (directory / "train", directory / "val"):
        if not list(folder.glob("events.out.tfevents.*")):
            continue
        # With purging, TensorBoard would leave out events that the files contain.
        events = EventAccumulator(
            str(folder), size_guidance={"scalars": 0, "images": 0}, purge_orphaned_data=False
        )
        events.Reload()
        for tag in events.Tags()["scalars"]:
            if tag.startswith(BEST):  # for the HParams tab; the journal has them at their step
                continue
            name = full_name(folder.name, tag)
            values += [(name, event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["images"]:
            images[tag.replace("_", "/", 1)] = [event.step for event in events.Images(tag)]
    return _once(values), images


def full_name(folder: str, tag: str) -> str:
    """The journal's name of a tag in one of the two folders of TensorBoard."""
    return tag if tag.startswith(("train/", "test/", "perf/")) else f"{folder}/{tag}"


def mlflow_values(directory: Path, store: str) -> tuple[Values, Steps, str]:
    """Metrics by name and step, the steps of images by name, and the run's status.

    Values that a run has once, from its end, are asserted and left out.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    record: dict[str, Any] = json.loads((directory / "run.json").read_text())
    client, run_id = MlflowClient(store), record["mlflow"]["run_id"]
    names = client.get_run(run_id).data.metrics
    assert_final_values(names, record)
    values = _once(
        (name, metric.step, metric.value)
        for name in names
        if not is_final(name)
        for metric in client.get_metric_history(run_id, name)
    )
    images: Steps = {}
    for artifact in client.list_artifacts(run_id, "images"):
        name, _, rest = Path(artifact.path).name.partition("+step+")
        if artifact.path.endswith(".png"):
            images.setdefault(name.replace("~", "/"), []).append(int(rest.partition("+")[0]))
    return values, images, client.get_run(run_id).info.status


def images_on_disk(directory: Path) -> Steps:
    """The steps of the PNG files by name."""
    found: Steps = {}
    for file in (directory / "images").glob("*.png"):
        name, _, step = file.stem.rpartition("_")
        found.setdefault(name.replace("val_", "val/", 1), []).append(int(step))
    return found


def assert_stores_agree(directory: Path, store: str) -> None:
    """Asserts that TensorBoard and MLflow hold what the journal and images/ hold, each once."""
    journal, pictures = journal_values(directory), images_on_disk(directory)
    values, images = tensorboard_values(directory)
    assert _difference(values, journal) == {}
    assert _difference_of_steps(images, pictures) == {}
    values, images, status = mlflow_values(directory, store)
    assert _difference(values, {renamed(name): found for name, found in journal.items()}) == {}
    assert _difference_of_steps(images, pictures) == {}
    assert status == json.loads((directory / "run.json").read_text())["status"]


def _difference(values: Values, journal: Values) -> dict[str, list[int]]:
    """The steps at which a store and the journal differ, by name."""
    names = values.keys() | journal.keys()
    steps = {
        name: sorted(
            step
            for step in values.get(name, {}).keys() | journal.get(name, {}).keys()
            if repr(values.get(name, {}).get(step)) != repr(journal.get(name, {}).get(step))
        )
        for name in names
    }
    return {name: found for name, found in steps.items() if found}


def _difference_of_steps(found: Steps, expected: Steps) -> dict[str, list[int]]:
    """The steps that one has more often than the other, by name."""
    names = found.keys() | expected.keys()
    counts = {name: (Counter(found.get(name)), Counter(expected.get(name))) for name in names}
    steps = {name: sorted(((a - b) + (b - a)).elements()) for name, (a, b) in counts.items()}
    return {name: differing for name, differing in steps.items() if differing}


def _once(triples: Iterable[tuple[str, int, float]]) -> Values:
    values: Values = {}
    for name, step, value in triples:
        assert step not in values.setdefault(name, {}), f"{name} of step {step} is there twice"
        values[name][step] = np.float32(value)
    return values
