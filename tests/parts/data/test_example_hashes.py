"""Hashes recognize the examples of a run, whatever file and source they are read from."""

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contracts.example_data import FILES, image_folder, images
from expt.errors import UserError
from expt.parts.data.arrays import Npz
from expt.parts.data.bundled import Diabetes
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import row_keys
from expt.parts.data.example_hashes import FILE_NAME, ExampleHashes
from expt.parts.data.images import ImageFolder
from expt.parts.data.joined import concatenate_splits
from expt.parts.data.tables import Csv

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.standard_normal((60, 4))


@dataclass(frozen=True)
class OwnStream:
    """The stream of a custom source."""

    inputs: Any
    fingerprint: str = "own"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape)

    def read(self, indices: Any) -> Any:
        return self.inputs[indices]

    def take(self, indices: Any) -> "OwnStream":
        return OwnStream(self.inputs[indices])


def hashes_of(dataset: Dataset) -> ExampleHashes:
    hashes = ExampleHashes.of(dataset)
    assert hashes is not None
    return hashes


def npy_folder(folder: Path, **arrays: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def toy(parts: list[Split]) -> Dataset:
    train, validation, test = parts
    return Dataset("toy", "regression", train, validation, test, batch_size=1)


def whole_of(dataset: Dataset) -> Split:
    return concatenate_splits([split for _, split in dataset.splits()])


def assert_recognized(hashes: ExampleHashes, dataset: Dataset, whole: Split) -> None:
    """Asserts that every example of the whole is found in exactly one split."""
    found = hashes.find(whole)
    for name, split in dataset.splits():
        assert found[name].sum() == len(split)
    assert (np.sum(list(found.values()), axis=0) == 1).all()


def splitmix64(number: int) -> int:
    """Returns the next number of S. Vigna's splitmix64.c, made odd."""
    z = number * GOLDEN % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) | 1


GOLDEN = 0x9E3779B97F4A7C15


def expected_key(row: list[float], form: str) -> list[int]:
    """Hashes a row with Python integers, as a reference."""
    sums = [0, 0]
    for place, value in enumerate(row):
        word = int.from_bytes(struct.pack(form, value), "little")
        word = (word ^ (word >> 32)) * GOLDEN % 2**64
        word ^= word >> 29
        for which in range(2):
            sums[which] = (sums[which] + word * splitmix64(2 * place + which + 1)) % 2**64
    return sums


def test_hashes_are_the_same_on_every_machine_and_in_every_version() -> None:
    # Runs store hashes: with another algorithm, all their examples would seem new.
    rows = NOISE.astype(np.float32)
    for form, dtype in (("<f", np.float32), ("<d", np.float64)):
        expected = [expected_key(row, form) for row in rows.astype(dtype).tolist()]
        assert row_keys(rows.astype(dtype)).tolist() == expected
    assert row_keys(np.arange(3.0)[None]).tolist() == [[4614873090077636339, 3233521706749432093]]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(60)), dtype=st.sampled_from(["float32", "float64"]))
def test_hashes_do_not_depend_on_the_order_of_examples(order: list[int], dtype: str) -> None:
    split = Split(NOISE.astype(dtype), np.zeros((60, 1)))
    parts = [split.take(np.asarray(part)) for part in np.split(np.asarray(order), [40, 50])]
    dataset = toy(parts)
    assert_recognized(hashes_of(dataset), dataset, split)
    # A difference that float32 barely resolves makes other inputs.
    others = hashes_of(dataset).find(Split(NOISE + 1e-6, split.targets))
    assert not any(found.any() for found in others.values())


@pytest.mark.parametrize("target", ["as it was", "changed"])
@pytest.mark.parametrize("weight", [None, 2.0])
def test_targets_and_weights_make_no_difference(target: str, weight: float | None) -> None:
    dataset = Diabetes(batch_size=8).load()
    train = dataset.train
    weights = None if weight is None else np.full(len(train), weight, np.float32)
    same = Split(train.inputs, train.targets + (target == "changed"), weights)
    assert hashes_of(dataset).find(same)["train"].all()
    assert not hashes_of(dataset).find(same)["test"].any()


@pytest.mark.parametrize("source", [name for name in FILES if name != "tfds"])
def test_every_source_recognizes_its_own_examples(tmp_path: Path, source: str) -> None:
    # Through the config, so that new sources are covered without a change here.
    from expt.config.compose import compose_jobs
    from expt.train.data_loading import DataLoader

    given = [f"data={source}", *FILES[source](tmp_path)]
    (job,), _ = compose_jobs(given, None, multirun=False)
    dataset = DataLoader()(job)
    if source == "cifar100":  # the example file repeats images, so splits share some
        assert hashes_of(dataset).find(dataset.train)["train"].all()
        return
    assert_recognized(hashes_of(dataset), dataset, whole_of(dataset))


def test_split_seed_distributes_the_same_hashes(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=NOISE, y=np.arange(60) % 2)
    first, second = (
        Npz(path=str(tmp_path / "x.npz"), batch_size=4, split_seed=seed).load() for seed in (0, 1)
    )
    one, other = hashes_of(first), hashes_of(second)
    assert not np.array_equal(one.by_split["train"], other.by_split["train"])
    before, after = (np.sort(np.concatenate(list(each.by_split.values()))) for each in (one, other))
    np.testing.assert_array_equal(before, after)


class TestAcrossSources:
    """Examples of one kind of file are recognized in another kind."""

    def test_rows_of_a_table_and_an_array(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", x=NOISE, y=np.arange(60) % 2)
        rows = [",".join([*map(repr, map(float, row)), "ab"[i % 2]]) for i, row in enumerate(NOISE)]
        (tmp_path / "x.csv").write_text("\n".join(["a,b,c,d,y", *rows]) + "\n")
        arrays = Npz(path=str(tmp_path / "x.npz"), batch_size=4).load()
        table = Csv(path=str(tmp_path / "x.csv"), target="y", batch_size=4).load()
        assert_recognized(hashes_of(arrays), arrays, whole_of(table))
        assert_recognized(hashes_of(table), table, whole_of(arrays))

    def test_arrays_in_memory_and_on_disk(self, tmp_path: Path) -> None:
        folder = npy_folder(tmp_path / "x", x=NOISE, y=np.arange(60) % 2)
        on_disk, in_memory = (
            Npz(path=str(folder), batch_size=4, stream=stream).load() for stream in (True, False)
        )
        assert_recognized(hashes_of(on_disk), on_disk, whole_of(in_memory))
        assert_recognized(hashes_of(in_memory), in_memory, whole_of(on_disk))

    def test_float32_and_values_that_it_rounds(self, tmp_path: Path) -> None:
        # One more row, which float32 would round, makes all inputs float64.
        exact = NOISE.astype(np.float32).astype(np.float64)
        np.savez(tmp_path / "x.npz", x=exact, y=np.arange(60) % 2)
        np.savez(tmp_path / "more.npz", x=np.r_[exact, NOISE[:1]], y=np.arange(61) % 2)
        trained, more = (
            Npz(path=str(tmp_path / name), batch_size=4).load() for name in ("x.npz", "more.npz")
        )
        assert (trained.train.dtype.name, more.train.dtype.name) == ("float32", "float64")
        found = hashes_of(trained).find(whole_of(more))
        for name, split in trained.splits():
            # The additional row may match by its rounded value.
            assert len(split) <= found[name].sum() <= len(split) + 1

    @pytest.mark.parametrize("channels", [1, 3])
    def test_image_files_and_arrays(self, tmp_path: Path, channels: int) -> None:
        pixels = images(40, 8, 8, channels)
        for number, image in enumerate(pixels):
            folder = tmp_path / "files" / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0] if channels == 1 else image).save(
                folder / f"{number}.png"
            )
        files = ImageFolder(path=str(tmp_path / "files"), batch_size=4).load()
        for array in (pixels, (pixels / np.float32(255)).astype(np.float32)):
            for stream in (False, True):
                folder = npy_folder(tmp_path / "arrays", x=array, y=np.arange(40) % 2)
                arrays = Npz(path=str(folder), batch_size=4, stream=stream).load()
                assert_recognized(hashes_of(files), files, whole_of(arrays))
                assert_recognized(hashes_of(arrays), arrays, whole_of(files))

    def test_an_image_that_was_renamed_or_saved_in_another_format(self, tmp_path: Path) -> None:
        image_folder(tmp_path)
        source = ImageFolder(path=str(tmp_path), batch_size=4)
        hashes = hashes_of(source.load())
        Image.open(tmp_path / "cat" / "0.png").save(tmp_path / "cat" / "first.bmp")
        (tmp_path / "cat" / "0.png").unlink()
        Image.fromarray(images(1, 8, 8, 3)[0]).save(tmp_path / "dog" / "new.png")
        found = hashes.find(whole_of(source.load()))
        # All 40 images are found, and the new one is not.
        assert sum(one.sum() for one in found.values()) == 40


def test_custom_stream_has_no_hashes_but_is_recognized(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=NOISE, y=np.arange(60) % 2)
    # A custom stream has no dtype, so its inputs are float32.
    dataset = Npz(path=str(tmp_path / "x.npz"), batch_size=4).load().with_float32_inputs()
    train, validation, test = [
        replace(split, inputs=OwnStream(split.read(np.arange(len(split)))))
        for _, split in dataset.splits()
    ]
    own = Dataset("own", "classification", train, validation, test, 4, ("0", "1"))
    assert ExampleHashes.of(own) is None
    assert_recognized(hashes_of(dataset), dataset, whole_of(own))


class TestFile:
    def test_read_returns_what_was_written(self, tmp_path: Path) -> None:
        hashes = hashes_of(Diabetes(batch_size=8).load())
        hashes.write(tmp_path)
        read = ExampleHashes.read(tmp_path, hashes.kind)
        assert {name: one.tolist() for name, one in read.by_split.items()} == {
            name: one.tolist() for name, one in hashes.by_split.items()
        }
        assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]

    def test_file_is_compact_and_sorted_and_holds_no_objects(self, tmp_path: Path) -> None:
        whole = Split(np.arange(50_000, dtype=np.float32)[:, None], np.zeros((50_000, 1)))
        parts = [whole.take(part) for part in np.split(np.arange(50_000), [40_000, 45_000])]
        hashes_of(toy(parts)).write(tmp_path)
        # 8 bytes per example, and the headers.
        assert (tmp_path / FILE_NAME).stat().st_size < 50_000 * 8 + 2_000
        with np.load(tmp_path / FILE_NAME, allow_pickle=False) as archive:
            for name, count in (("train", 40_000), ("val", 5_000), ("test", 5_000)):
                assert (archive[name].shape, archive[name].dtype) == ((count,), np.uint64)
                assert (np.diff(archive[name].astype(object)) > 0).all()

    @pytest.mark.parametrize("damage", ["missing", "cut", "empty", "text", "npy", "lacking", "2d"])
    def test_damage_is_reported(self, tmp_path: Path, damage: str) -> None:
        file = tmp_path / FILE_NAME
        hashes_of(Diabetes(batch_size=8).load()).write(tmp_path)
        content = file.read_bytes()
        arrays = {name: np.zeros(3, np.uint64) for name in ("train", "val", "test")}
        if damage == "missing":
            file.unlink()
        elif damage == "npy":
            with file.open("wb") as opened:
                np.save(opened, arrays["train"])
        elif damage in ("lacking", "2d"):
            arrays.pop("val")
            more = {} if damage == "lacking" else {"val": np.zeros((3, 2), np.uint64)}
            np.savez(file, allow_pickle=False, **arrays, **more)
        else:
            kept = {"cut": content[:-300], "empty": b"", "text": b"not a file of arrays"}
            file.write_bytes(kept[damage])
        with pytest.raises(UserError, match=r"examples\.npz can't be read: .*trained on; restore"):
            ExampleHashes.read(tmp_path, "float64")
