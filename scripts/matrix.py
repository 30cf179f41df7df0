"""Trains each loss on each of its tasks, and each activation, on digits for a short time.

    python scripts/matrix.py > docs/matrix.md

Prints the page in Markdown, which says what is trained. Exits with 1 if a run is not better than
chance.
"""

import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from expt.config.compose import compose_jobs
from expt.config.location import config_directory, options
from expt.config.outputs import model_outputs
from expt.errors import RunError
from expt.runs.records import RunRecord
from expt.train.backend import start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.recorders import Sinks

_HEADER = """# Losses and activations

This page shows the results of each loss on each task that it supports, and of each activation,
after a short training on digits. They show that each option learns, not which one is best:
[Comparing runs](comparing.md) is about that.

<!-- not run: it trains some fifty runs -->
```console
$ python scripts/matrix.py > docs/matrix.md
```

All keys have their defaults except the named one; a run has 15 epochs, those of the GAN 100. A
result is better than chance if:

| task | better than chance |
|---|---|
| classification | the test accuracy is above 0.3; chance is 0.1 |
| regression of the one-hot class | the test R² is above 0.1; that of the mean is 0 |
| reconstruction | the test loss is below 0.9 times that of the mean image of the train split |
| generation (`experiment=gan`) | the distance is below half of that before training |
"""
_EPOCHS = 15
_FOR_TASK = {
    "classification": ("metric=[accuracy]",),
    "regression": ("data=npz", "data.path=values.npz", "data.batch_size=64", "metric=[r2]"),
    "reconstruction": ("model=autoencoder", "metric=[]"),
    "generation": ("experiment=gan", "loop.epochs=100"),
}
_BARS = {"accuracy": 0.3, "r2": 0.1}


def main() -> None:
    """Prints the tables as Markdown; exits with 1 if a run is no better than chance."""
    logging.getLogger("expt").setLevel(logging.ERROR)
    print(_HEADER)
    with tempfile.TemporaryDirectory() as folder:
        _write_values(Path(folder) / "values.npz")
        results = [
            *_rows("Losses", "loss, task", _losses(), Path(folder)),
            *_rows("Activations", "activation", _activations(), Path(folder)),
        ]
    sys.exit(0 if all(results) else 1)


def _losses() -> Iterator[tuple[str, Sequence[str]]]:
    for option in options("loss"):
        node = yaml.safe_load((config_directory() / "loss" / f"{option}.yaml").read_text())
        for task in node["_tasks_"]:
            yield f"{option}, {task}", (*_FOR_TASK[task], f"loss={option}")


def _activations() -> Iterator[tuple[str, Sequence[str]]]:
    for option in options("act"):
        yield option, (*_FOR_TASK["classification"], f"act={option}")


def _rows(
    title: str, what: str, jobs: Iterator[tuple[str, Sequence[str]]], folder: Path
) -> Iterator[bool]:
    print(f"## {title}\n\n| {what} | test | better than chance |\n|---|---|---|")
    for name, overrides in jobs:
        result, is_better = _outcome(overrides, folder)
        print(f"| {name} | {result} | {'yes' if is_better else 'no'} |", flush=True)
        yield is_better
    print()


def _outcome(overrides: Sequence[str], folder: Path) -> tuple[str, bool]:
    try:
        record, baseline = _train(overrides, folder)
    except RunError as error:
        return f"failed: {error}", False
    final = record.final.to_mapping() if record.final else {}
    for metric, bar in _BARS.items():
        if f"test/{metric}" in final:
            value = final[f"test/{metric}"]
            return f"{metric} {value:.3f}", value > bar
    if "test/distance" in final:
        distance = final["test/distance"]
        return f"distance {distance:.3f} (before: {baseline:.3f})", distance < baseline / 2
    loss = final["test/loss"]
    return f"loss {loss:.4f} (mean image: {baseline:.4f})", loss < 0.9 * baseline


def _train(overrides: Sequence[str], folder: Path) -> tuple[RunRecord, float]:
    """Trains one job; returns its record and the baseline of its metric."""
    given = [
        f"loop.epochs={_EPOCHS}",
        "recorder=[]",
        "loop.image_every=null",
        f"output_dir={folder}",
        *(argument.replace("values.npz", str(folder / "values.npz")) for argument in overrides),
    ]
    (job,), _ = compose_jobs(given, None, multirun=False)
    dataset, sinks = DataLoader()(job), Sinks()
    start_tensorflow(job.config.seed)
    from expt.train.session import Session

    baseline = _baseline(job, dataset)
    start_tensorflow(job.config.seed)
    directory = Path(tempfile.mkdtemp(dir=folder))
    try:
        return Session(job, dataset, directory, sinks(job), Console(quiet=True)).run(), baseline
    finally:
        sinks.stop()


def _baseline(job: Any, dataset: Any) -> float:
    """Returns the distance before training, or the loss of the mean image of the train split."""
    import tensorflow as tf

    from expt.train.objective import make_objective
    from expt.train.program import make_program

    parts = make_program(job, dataset)
    if parts.monitor.metric == "val/distance":
        return float(parts.learner.make_evaluate(dataset.test, "graph")()[0]["distance"])
    if dataset.task == "regression" or job.config.model.get("_task_") != "reconstruction":
        return float("nan")
    mean = np.clip(dataset.train.inputs.mean(axis=0), 1e-3, 1 - 1e-3)
    inverse: dict[str | None, Any] = {
        "sigmoid": np.log(mean / (1 - mean)),
        "softplus": np.log(np.expm1(mean)),
    }
    outputs = inverse.get(model_outputs(job.config.loss, "reconstruction").link, mean)
    inputs = dataset.test.inputs
    losses = make_objective(job, dataset).loss(
        tf.constant(inputs), tf.constant(np.broadcast_to(outputs, inputs.shape), tf.float32)
    )
    return float(tf.reduce_mean(losses))


def _write_values(file: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    inputs = (digits.images / 16)[..., None].astype(np.float32)
    np.savez(file, x=inputs, y=np.eye(10, dtype=np.float32)[digits.target])


if __name__ == "__main__":
    main()
