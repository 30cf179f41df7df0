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

The row `image-folder` compares expt with itself: the same 20,000 small PNG files, streamed from
disk against held in memory as one array. The rows `…-saving` compare it with itself, too: a
checkpoint after every epoch against none but the last. So do the rows `…-probes`, `…-curvature`
and `…-doctor`, with as many examples as MNIST: probes after every epoch of 390 steps, against
none, and the default rules of the training doctor against `doctor=false`. The first call of a
probe, which traces its graph, counts.
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
from PIL import Image
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        overrides: For expt; Keras trains what they describe.
        epochs: How many.
        against: Overrides for the baseline, if that is expt too.
    """

    overrides: tuple[str, ...]
    epochs: int
    against: tuple[str, ...] | None = None


_MNIST = ("data=mnist", "data.num_validation=1280")
_MNIST_MLP = (*_MNIST, "model.units=[256,256]")
_MNIST_CNN = (*_MNIST, "model=cnn")
_SEEN_MLP = ("data=mnist", "data.path=whole.npz", "model.units=[256,256]")
_SEEN_CNN = ("data=mnist", "data.path=whole.npz", "model=cnn")
_PROBES = "probe=[gradients,activations]"
_CIFAR = ("data=cifar10", "data.num_validation=1280")
_OF_FILES = ("model=cnn", "data.batch_size=128")
ROWS = {
    "digits": Row((), 100),
    "digits-xla": Row(("loop.compile=xla",), 100),
    "digits-unvalidated": Row(("loop.eval_every=null",), 100),
    "mnist-mlp": Row(_MNIST_MLP, 10),
    "mnist-mlp-xla": Row((*_MNIST_MLP, "loop.compile=xla"), 10),
    "mnist-cnn": Row(_MNIST_CNN, 3),
    "cifar-resnet20": Row((*_CIFAR, "model=resnet", "loop.batches=20"), 5),
    "cifar-vit": Row((*_CIFAR, "model=vit"), 4),
    "image-folder": Row(
        ("data=image_folder", "data.path=images", *_OF_FILES),
        3,
        against=("data=npz", "data.path=images.npz", *_OF_FILES),
    ),
    "digits-saving": Row((), 200, against=("loop.save_every=null",)),
    "mnist-saving": Row(_MNIST_MLP, 10, against=(*_MNIST_MLP, "loop.save_every=null")),
    "mnist-mlp-probes": Row((*_SEEN_MLP, _PROBES), 20, against=_SEEN_MLP),
    "mnist-cnn-probes": Row((*_SEEN_CNN, _PROBES), 5, against=_SEEN_CNN),
    "mnist-mlp-curvature": Row((*_SEEN_MLP, "probe=[curvature]"), 20, against=_SEEN_MLP),
    "mnist-cnn-curvature": Row((*_SEEN_CNN, "probe=[curvature]"), 5, against=_SEEN_CNN),
    "mnist-mlp-doctor": Row(_SEEN_MLP, 20, against=(*_SEEN_MLP, "doctor=false")),
    "mnist-cnn-doctor": Row(_SEEN_CNN, 5, against=(*_SEEN_CNN, "doctor=false")),
}


def main() -> None:
    """Prints the table, or as a child process measures one side of one row."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=["expt", "baseline"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(unknown)}; valid: {', '.join(ROWS)}")
    if args.child:
        print(json.dumps(_measure(args.child, ROWS[args.rows[0]])))
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_arrays(Path(folder) / "data/mnist/mnist.npz", 14_080, (28, 28))
        _write_arrays(Path(folder) / "whole.npz", 60_000, (28, 28))
        _write_arrays(Path(folder) / "data/cifar10/cifar10.npz", 14_080, (32, 32, 3))
        if "image-folder" in args.rows:
            _write_images(Path(folder))
        _print_table(args.rows, args.rounds, Path(folder))


def _print_table(names: list[str], rounds: int, folder: Path) -> None:
    table = Table("row", "baseline", "expt", "ratio", "whole", "ratio")
    for name in names:
        baseline, expt = [], []
        for _ in range(rounds):
            baseline.append(_child("baseline", name, folder))
            expt.append(_child("expt", name, folder))
        pairs = list(zip(expt, baseline, strict=True))
        numbers = [statistics.median(b["steps_per_s"] for b in baseline)]
        for key in ("steps_per_s", "whole"):
            numbers.append(statistics.median(e[key] for e in expt))
            numbers.append(statistics.median(e[key] / b["steps_per_s"] for e, b in pairs))
        formats = ("{:,.0f}", "{:,.0f}", "{:.2f}x", "{:,.0f}", "{:.2f}x")
        cells = [form.format(number) for form, number in zip(formats, numbers, strict=True)]
        table.add_row(name, *cells)
        print(name, json.dumps({"baseline": baseline, "expt": expt}), file=sys.stderr)
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


def _write_arrays(file: Path, num_train: int, shape: tuple[int, ...]) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", num_train), ("test", 1_280)):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = _examples(count, shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **arrays)


def _write_images(folder: Path) -> None:
    images, labels = _examples(20_000, (28, 28))
    np.savez(folder / "images.npz", x=images, y=labels)
    for label in range(10):
        (folder / "images" / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / "images" / str(label) / f"{number}.png")


def _examples(count: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Ten patterns under noise, so that there is something to learn."""
    patterns = np.random.default_rng(0).integers(0, 128, (10, *shape))
    random = np.random.default_rng(count)
    labels = random.integers(0, 10, count)
    noise = random.integers(0, 128, (count, *shape))
    return (patterns[labels] + noise).astype(np.uint8), labels.astype(np.int64)


def _measure(side: str, row: Row) -> dict[str, float]:
    from expt.config.compose import compose_jobs
    from expt.train.backend import start_tensorflow
    from expt.train.data_loading import DataLoader
    from expt.train.recorders import Sinks

    is_baseline = side == "baseline"
    chosen = row.against if is_baseline and row.against is not None else row.overrides
    (job,), _ = compose_jobs([*chosen, f"loop.epochs={row.epochs}"], None, multirun=False)
    dataset = DataLoader()(job)
    if is_baseline and row.against is None:
        start_tensorflow(0)
        return _measure_keras(job, dataset)
    sinks = Sinks()
    sinks(job)
    start_tensorflow(0)
    result = _measure_expt(job, dataset, sinks)
    sinks.stop()
    return result


def _measure_expt(job: Any, dataset: Any, sinks: Any) -> dict[str, float]:
    from expt.train.session import Session

    directory = Path(tempfile.mkdtemp(dir=Path.cwd()))
    started = time.perf_counter()
    record = Session(job, dataset, directory, sinks(job), Console(quiet=True)).run()
    whole = time.perf_counter() - started
    assert record.final is not None
    assert record.final.step is not None
    assert record.training_seconds is not None
    steps, seconds = record.final.step, record.training_seconds
    return {"steps_per_s": steps / seconds, "whole": steps / whole}


def _measure_keras(job: Any, dataset: Any) -> dict[str, float]:
    import keras

    from expt.train.program import make_program
    from expt.train.timeline import make_timeline

    timeline = make_timeline(job, dataset)
    learner = make_program(job, dataset).learner
    model, (optimizer,) = learner.model, learner.optimizers
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train, validation = dataset.train, dataset.validation
    is_validated = job.config.loop.eval_every is not None
    held_out = (validation.inputs, validation.targets) if is_validated else None

    def fit(epochs: int) -> None:
        model.fit(
            train.inputs,
            train.targets,
            batch_size=dataset.batch_size,
            epochs=epochs,
            validation_data=held_out,
            verbose=0,
        )

    fit(1)
    before = int(optimizer.iterations)
    started = time.perf_counter()
    fit(max(1, timeline.total_steps // timeline.steps_per_epoch))
    seconds = time.perf_counter() - started
    return {"steps_per_s": (int(optimizer.iterations) - before) / seconds}


if __name__ == "__main__":
    main()
