"""The data that the commands read."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_files(folder: Path) -> None:
    """Writes the data that the commands read, always the same."""
    random = np.random.default_rng(0)
    np.save(folder / "inputs.npy", random.uniform(0, 1, (5, 8, 8, 1)).astype(np.float32))
    (folder / "arrays").mkdir()
    inputs = random.normal(size=(90, 5)).astype(np.float32)
    for name, array in (("x", inputs), ("y", inputs[:, :1] * 2 + inputs[:, 1:2])):
        np.save(folder / "arrays" / f"{name}.npy", array)
    for kind in ("cat", "dog"):
        (folder / "images" / kind).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / kind / f"{number}.png")
    rows = [
        f"{number / 50:.3f},{'abc'[number % 3]},{'xxy'[number % 3 if number % 7 else 1]}"
        for number in range(100)
    ]
    (folder / "table.csv").write_text("\n".join(["size,letter,kind", *rows, rows[0]]) + "\n")
