"""Measures what recording costs: whole runs with all, some and no recorders, in turn.

    python scripts/recording_cost.py                 digits and an MLP on data of MNIST's size
    python scripts/recording_cost.py digits --rounds 3

Each run is a separate process in an empty folder. The table has the medians of wall time and of
the processor time of all its processes, and the difference to a run without recorders, which
writes the journal alone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

_MNIST = ("data=mnist", "data.num_validation=1280", "model.units=[256,256]")
ROWS = {"digits": ("loop.steps=80000",), "mnist-mlp": (*_MNIST, "loop.steps=16000")}
RECORDERS = {
    "none": "recorder=[]",
    "TensorBoard": "recorder=[tensorboard]",
    "MLflow": "recorder=[mlflow]",
    "both": "recorder=[tensorboard,mlflow]",
}


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(RECORDERS), help=", ".join(RECORDERS))
    args = parser.parse_args()
    print("| row | recorders | wall s | against none | processor s | difference |")
    print("|---|---|---|---|---|---|")
    for row in args.rows or ROWS:
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in args.only}
        for _ in range(args.rounds):
            for name, figures in measured.items():
                figures.append(_measure((*ROWS[row], RECORDERS[name])))
        medians = {
            name: [statistics.median(column) for column in zip(*figures, strict=True)]
            for name, figures in measured.items()
        }
        base = medians.get("none", [float("nan")] * 2)
        for name, (wall, processor) in medians.items():
            print(
                f"| {row} | {name} | {wall:.1f} | {wall / base[0] - 1:+.1%} | {processor:.1f} | "
                f"{processor - base[1]:+.1f} |",
                flush=True,
            )


def _measure(overrides: tuple[str, ...]) -> tuple[float, float]:
    """Returns the wall time and the processor time of a run, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        _write_arrays(Path(folder) / "data/mnist/mnist.npz")
        before, started = os.times(), time.perf_counter()
        command = [sys.executable, "-m", "expt.run", *overrides]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - started, os.times()
    processor = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return wall, processor


def _write_arrays(file: Path) -> None:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 14_080), ("test", 1_280)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = random.integers(0, 10, count)
    file.parent.mkdir(parents=True)
    np.savez(file, **arrays)


if __name__ == "__main__":
    main()
