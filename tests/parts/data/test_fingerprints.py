"""The changes that a data set's fingerprint depends on, source by source, and those it ignores."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.example_data import image_folder, mnist
from expt.parts.data import bundled, synthetic
from expt.parts.data.arrays import Npz
from expt.parts.data.cifar import CIFAR10
from expt.parts.data.dataset import Dataset
from expt.parts.data.files import MNIST
from expt.parts.data.images import ImageFolder
from expt.parts.data.tables import Csv

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.random((60, 3)).round(3)
ROWS = [
    [*map(str, row), "small" if row[0] < 0.5 else "large", "cat" if i % 2 else "dog", str(i // 3)]
    for i, row in enumerate(NUMBERS)
]
HEADER = ["a", "b", "c", "size", "target", "patient"]


def table(folder: Path, header: Any = HEADER, rows: Any = ROWS, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    return file


def load(file: Path, **options: Any) -> Dataset:
    given = {"target": "target", "ignore": ["patient"], **options}
    return Csv(path=str(file), batch_size=4, **given).load()


def renamed(old: str, new: str) -> list[str]:
    return [new if name == old else name for name in HEADER]


def in_rows(old: str, new: str) -> list[list[str]]:
    return [[new if value == old else value for value in row] for row in ROWS]


def swapped(row: list[str], one: int, other: int) -> list[str]:
    row = list(row)
    row[one], row[other] = row[other], row[one]
    return row


CHANGES: dict[str, Callable[[Path], Dataset]] = {
    # Renaming keeps the alphabetical order, so that the labels and inputs stay the same.
    "class renamed": lambda folder: load(table(folder, rows=in_rows("cat", "ant"))),
    "category renamed": lambda folder: load(table(folder, rows=in_rows("small", "tiny"))),
    "column renamed": lambda folder: load(table(folder, renamed("b", "bb"))),
    "headers swapped": lambda folder: load(table(folder, swapped(HEADER, 0, 1))),
    "columns swapped": lambda folder: load(
        table(folder, swapped(HEADER, 0, 1), [swapped(row, 0, 1) for row in ROWS])
    ),
    "target renamed": lambda folder: load(table(folder, renamed("target", "kind")), target="kind"),
    "another target": lambda folder: load(table(folder), target="size"),
    "a weight": lambda folder: load(table(folder), weight="c"),
    "another weight": lambda folder: load(table(folder), weight="b"),
    "a group": lambda folder: load(table(folder), ignore=[], group="patient"),
    "rows sorted": lambda folder: load(table(folder, rows=sorted(ROWS))),
    "a row appended": lambda folder: load(table(folder, rows=[*ROWS, ROWS[0]])),
}


def test_fingerprint_of_a_table_changes(tmp_path: Path) -> None:
    # Not only different from the original: each change has a fingerprint that no other has.
    prints = {load(table(tmp_path)).fingerprint: "nothing changed"}
    for name, make in CHANGES.items():
        found = make(tmp_path).fingerprint
        assert found not in prints, f"{name}: as if {prints[found]}"
        prints[found] = name


def test_fingerprint_changes_with_column_names(tmp_path: Path) -> None:
    header = ["a", "target", "v", "w", "g", "h"]
    # Columns v and w are equal, and g and h: only their names can make a difference.
    rows = [[row[0], row[4], row[1], row[1], row[5], row[5]] for row in ROWS]
    file = table(tmp_path, header, rows)
    prints = [
        load(file, ignore=[name for name in "vwgh" if name not in (w, g)], weight=w, group=g)
        for w in "vw"
        for g in "gh"
    ]
    assert len({dataset.fingerprint for dataset in prints}) == 4
    assert len({dataset.content_fingerprint for dataset in prints}) == 1


def test_fingerprint_does_not_depend_on_the_path(tmp_path: Path) -> None:
    file = table(tmp_path)
    expected = load(file).fingerprint
    (tmp_path / "other").mkdir()
    copy = Path(shutil.copy(file, tmp_path / "other" / "renamed.csv"))
    os.utime(copy, (1, 1))  # the time of the file does not count either
    assert load(copy).fingerprint == expected
    assert load(copy, ignore=["patient"], separator=",").fingerprint == expected


def npz(folder: Path, **options: Any) -> Dataset:
    file = folder / f"{options.pop('name', 'x')}.npz"
    arrays = {"x": NUMBERS, "y": np.arange(60) % 2, **options.pop("arrays", {})}
    np.savez(file, **arrays)
    return Npz(path=str(file), batch_size=4, **options).load()


def test_fingerprint_changes_with_classes_weights_and_groups(tmp_path: Path) -> None:
    ones = {"weights": np.ones(60)}
    prints = [
        npz(tmp_path),
        npz(tmp_path, class_names=["cat", "dog"]),
        npz(tmp_path, class_names=["ant", "bee"]),
        npz(tmp_path, arrays=ones),
        npz(tmp_path, arrays={"weights": np.arange(60) + 1.0}),
        npz(tmp_path, arrays={"groups": np.arange(60) // 3}),
        npz(tmp_path, arrays={"groups": np.arange(60) // 4}),
        npz(tmp_path, arrays={"x": NUMBERS[:, [1, 0, 2]]}),
    ]
    assert len({dataset.fingerprint for dataset in prints}) == len(prints)
    assert npz(tmp_path, name="elsewhere").fingerprint == prints[0].fingerprint


def test_fingerprint_changes_with_names_of_class_folders(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    image_folder(tmp_path / "one")
    source = ImageFolder(path=str(tmp_path / "one"), batch_size=4)
    expected = source.load().fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert replace(source, path=str(tmp_path / "two")).load().fingerprint == expected
    (tmp_path / "two" / "cat").rename(tmp_path / "two" / "ant")
    assert replace(source, path=str(tmp_path / "two")).load().fingerprint != expected


def test_fingerprint_includes_published_class_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist(tmp_path)
    source = MNIST(path=str(tmp_path), num_validation=20, batch_size=8)
    first = source.load()
    monkeypatch.setattr(MNIST, "class_names", tuple("abcdefghij"))
    second = source.load()
    assert first.content_fingerprint == second.content_fingerprint
    assert first.fingerprint != second.fingerprint


def test_fingerprint_includes_class_names_of_cifar_files(tmp_path: Path) -> None:
    def write(names: str) -> Dataset:
        folder = tmp_path / "cifar-10-batches-bin"
        folder.mkdir(exist_ok=True)
        record = bytes([1]) + bytes(range(256)) * 12
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            (folder / f"{name}.bin").write_bytes(record * 4)
        (folder / "batches.meta.txt").write_text("\n".join(names))
        return CIFAR10(path=str(tmp_path), num_validation=4, batch_size=4).load()

    assert write("abcdefghij").fingerprint != write("abcdefghik").fingerprint


@pytest.mark.parametrize("name", ["Digits", "Iris", "Wine", "BreastCancer", "Diabetes"])
def test_fingerprint_of_bundled_data_is_constant(name: str) -> None:
    source = getattr(bundled, name)(batch_size=8)
    first = source.load()
    assert source.load().fingerprint == first.fingerprint
    names: Any = {"class_names": tuple(f"{n}!" for n in first.class_names)}
    if not first.class_names:
        names = {"feature_names": first.feature_names[::-1]}
    assert replace(first, **names).fingerprint != first.fingerprint


def test_fingerprint_of_generated_points_is_constant() -> None:
    source = synthetic.Linear(weights=[1.0], bias=0.0, noise=0.1, num_examples=40, batch_size=4)
    assert source.load().fingerprint == source.load().fingerprint


def test_fingerprint_separates_names() -> None:
    dataset = synthetic.Linear(
        weights=[1.0], bias=0.0, noise=0.1, num_examples=40, batch_size=4
    ).load()
    # Names whose plain concatenation would be the same text.
    names: list[dict[str, Any]] = [
        {"feature_names": ("a, b",)},
        {"feature_names": ("a", "b")},
        {"class_names": ("a", "b")},
        {"other_columns": {"a": "b"}},
        {"other_columns": {"target": json.dumps("a")}},
    ]
    assert len({replace(dataset, **given).fingerprint for given in names}) == len(names)


def test_older_fingerprints_are_recognized(tmp_path: Path) -> None:
    # Older runs recorded the fingerprint of the contents, without names.
    dataset = load(table(tmp_path))
    assert dataset.has_fingerprint(dataset.fingerprint)
    assert dataset.has_fingerprint(dataset.content_fingerprint)
    other = load(table(tmp_path, rows=in_rows("cat", "ant")))
    assert not other.has_fingerprint(dataset.fingerprint)
