"""Small data for every source that reads the user's own files."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(0)


def images(count: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return RANDOM.integers(0, 256, (count, *shape)).astype(np.uint8)


def labels(count: int, num_classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.arange(count) % num_classes


def mnist(folder: Path) -> list[str]:
    file = folder / "mnist.npz"
    np.savez(
        file,
        x_train=images(60, 28, 28),
        y_train=labels(60, 10),
        x_test=images(20, 28, 28),
        y_test=labels(20, 10),
    )
    return [f"data.path={file}", "data.num_validation=20", "data.batch_size=8"]


def cifar10(folder: Path) -> list[str]:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    _write_batches(folder, names, {b"labels": 10})
    return [f"data.path={folder}", "data.num_validation=20", "data.batch_size=8"]


def cifar100(folder: Path) -> list[str]:
    _write_batches(folder, ["train", "test"], {b"fine_labels": 100, b"coarse_labels": 20}, 100)
    return [f"data.path={folder}", "data.num_validation=20", "data.batch_size=8"]


def _write_batches(folder: Path, names: list[str], keys: dict[bytes, int], count: int = 20) -> None:
    for name in names:
        batch = {key: labels(count, classes).tolist() for key, classes in keys.items()}
        content = {b"data": images(count, 3072), **batch}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def npz(folder: Path) -> list[str]:
    file = folder / "arrays.npz"
    np.savez(file, x=RANDOM.normal(size=(60, 4)), y=labels(60, 3))
    return [f"data.path={file}", "data.batch_size=8"]


def csv(folder: Path) -> list[str]:
    file = folder / "table.csv"
    rows = [
        f"{value / 60:.3f},{'ab'[i % 2]},{'xyz'[i % 3]}"  # no two are equal
        for i, value in enumerate(RANDOM.permutation(60))
    ]
    file.write_text("\n".join(["size,kind,target", *rows]) + "\n")
    return [f"data.path={file}", "data.target=target", "data.batch_size=8"]


def image_folder(folder: Path) -> list[str]:
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number, pixels in enumerate(images(20, 8, 8, 3)):
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return [f"data.path={folder}", "data.batch_size=8"]


def tfds(folder: Path) -> list[str]:
    import tensorflow_datasets

    package: Any = tensorflow_datasets
    package.disable_progress_bar()

    class Toy(package.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg]
        VERSION = package.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {
                "image": package.features.Image(shape=(8, 8, 1)),
                "label": package.features.ClassLabel(names=["a", "b"]),
            }
            return package.core.DatasetInfo(
                builder=self,
                features=package.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {part: self._generate_examples() for part in ("train", "test")}

        def _generate_examples(self) -> Iterator[tuple[int, Any]]:
            for number, image in enumerate(images(60, 8, 8, 1)):
                yield number, {"image": image, "label": number % 2}

    Toy(data_dir=folder).download_and_prepare()
    return ["data.name=toy", f"data.data_dir={folder}", "data.batch_size=8"]


FILES: dict[str, Callable[[Path], list[str]]] = {
    "mnist": mnist,
    "fashion_mnist": mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "npz": npz,
    "csv": csv,
    "image_folder": image_folder,
    "tfds": tfds,
}


def one_hot_values(folder: Path) -> list[str]:
    """Digits as a regression: ten values from 0 to 1 for each image."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    file = folder / "values.npz"
    inputs = (digits.images / 16)[..., None].astype(np.float32)
    np.savez(file, x=inputs, y=np.eye(10, dtype=np.float32)[digits.target])
    return ["data=npz", f"data.path={file}", "data.batch_size=64"]
