"""Measures the training loop against Keras' `fit`, in turn on one machine.

    python scripts/bench.py                  all rows, three rounds
    python scripts/bench.py digits mnist-cnn some rows
    python scripts/bench.py --rounds 5

Each measurement is a process of its own. Both sides train the same model on the same data with
the same batch size and optimizer, and evaluate the validation split after every epoch (but not in
the row `digits-unvalidated`); compiling is left out on both. Keras' `fit` has its defaults and no
callbacks at all; expt has all its recorders on (journal, TensorBoard, MLflow, images). The first
ratio is of steps a second in the loop. `whole` counts for expt alone all seconds from building the
model, tracing included, to when the test split is evaluated, the model saved and every recorder
closed; fit's figure stays.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of the table: overrides for expt; Keras trains what they describe."""

    overrides: tuple[str, ...]
    epochs: int


_MNIST = ("data=mnist", "data.num_validation=1280")
ROWS = {
    "digits": Row((), 100),
    "digits-xla": Row(("loop.compile=xla",), 100),
    "digits-unvalidated": Row(("loop.eval_every=null",), 100),
    "mnist-mlp": Row((*_MNIST, "model.units=[256,256]"), 10),
    "mnist-mlp-xla": Row((*_MNIST, "model.units=[256,256]", "loop.compile=xla"), 10),
    "mnist-cnn": Row((*_MNIST, "model=cnn"), 3),
}


def main() -> None:
    """Prints the table, or as a child process measures one side of one row."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=["expt", "keras"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(unknown)}; valid: {', '.join(ROWS)}")
    if args.child:
        print(json.dumps(_measure(args.child, ROWS[args.rows[0]])))
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_mnist_shaped(Path(folder))
        _print_table(args.rows, args.rounds, Path(folder))


def _print_table(names: list[str], rounds: int, folder: Path) -> None:
    table = Table("row", "keras fit", "expt", "ratio", "whole", "ratio")
    for name in names:
        keras, expt = [], []
        for _ in range(rounds):
            keras.append(_child("keras", name, folder))
            expt.append(_child("expt", name, folder))
        pairs = list(zip(expt, keras, strict=True))
        numbers = [statistics.median(k["steps_per_s"] for k in keras)]
        for key in ("steps_per_s", "whole"):
            numbers.append(statistics.median(e[key] for e in expt))
            numbers.append(statistics.median(e[key] / k["steps_per_s"] for e, k in pairs))
        formats = ("{:,.0f}", "{:,.0f}", "{:.2f}x", "{:,.0f}", "{:.2f}x")
        cells = [form.format(number) for form, number in zip(formats, numbers, strict=True)]
        table.add_row(name, *cells)
        print(name, json.dumps({"keras": keras, "expt": expt}), file=sys.stderr)
    Console(width=100).print(table)


def _child(side: str, name: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), name, "--child", side],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _write_mnist_shaped(folder: Path) -> None:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 14_080), ("test", 1_280)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"y_{part}"] = random.integers(0, 10, count, np.uint8)
    (folder / "data/mnist").mkdir(parents=True)
    np.savez(folder / "data/mnist/mnist.npz", **arrays)


def _measure(side: str, row: Row) -> dict[str, float]:
    from expt.assembly import DataLoader, Sinks
    from expt.config.compose import compose_jobs
    from expt.train.backend import start_tensorflow

    overrides = [*row.overrides, f"loop.epochs={row.epochs}"]
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    dataset = DataLoader()(job)
    if side == "keras":
        start_tensorflow(0)
        return _measure_keras(job, dataset)
    sinks = Sinks()
    sinks(job)
    start_tensorflow(0)
    result = _measure_expt(job, dataset, sinks)
    sinks.stop()
    return result


def _measure_expt(job: Any, dataset: Any, sinks: Any) -> dict[str, float]:
    from expt.job import run_job

    directory = Path(tempfile.mkdtemp(dir=Path.cwd()))
    started = time.perf_counter()
    record = run_job(job, dataset, directory, sinks(job), Console(quiet=True))
    whole = time.perf_counter() - started
    steps, seconds = record["final"]["step"], record["training_seconds"]
    return {"steps_per_s": steps / seconds, "whole": steps / whole}


def _measure_keras(job: Any, dataset: Any) -> dict[str, float]:
    import keras

    from expt.assembly import make_parts, make_plan

    plan = make_plan(job, dataset)
    parts = make_parts(job, dataset, plan.total_steps)
    parts.model.compile(
        optimizer=parts.optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train, validation = dataset.train, dataset.validation
    is_validated = job.config["loop"]["eval_every"] is not None
    held_out = (validation.inputs, validation.targets) if is_validated else None

    def fit(epochs: int) -> None:
        parts.model.fit(
            train.inputs,
            train.targets,
            batch_size=dataset.batch_size,
            epochs=epochs,
            validation_data=held_out,
            verbose=0,
        )

    fit(1)
    before = int(parts.optimizer.iterations)
    started = time.perf_counter()
    fit(max(1, plan.total_steps // plan.steps_per_epoch))
    seconds = time.perf_counter() - started
    return {"steps_per_s": (int(parts.optimizer.iterations) - before) / seconds}


if __name__ == "__main__":
    main()
