import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.scale import Scale
from expt.parts.data.tensorflow_datasets import TFDS

Prepare = Callable[..., Path]
Examples = Mapping[str, Any]

pytestmark = pytest.mark.filterwarnings("default")  # the package itself raises warnings


def image(number: int) -> dict[str, Any]:
    pixels = np.random.default_rng(number).integers(256, size=(4, 5, 3), dtype=np.uint8)
    pixels[0, 0, 0] = number
    return {"x": pixels, "y": number % 2}


def row(number: int) -> dict[str, Any]:
    return {"x": np.array([number, 2 * number], np.float32), "y": np.float32(3 * number)}


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Returns a function that prepares a data set with the package itself, without a network."""
    tfds: Any = pytest.importorskip("tensorflow_datasets")

    def write(
        sizes: Mapping[str, int],
        example: Callable[[int], Examples],
        *,
        features: Mapping[str, Any] | None = None,
        supervised_keys: Any = ("x", "y"),
        version: str = "1.0.0",
        configs: tuple[str, ...] = (),
        num_files: int = 1,
    ) -> Path:
        images = {
            "x": tfds.features.Image(shape=(4, 5, 3)),
            "y": tfds.features.ClassLabel(names=["bird", "cat"]),
        }

        class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, misc]
            VERSION = tfds.core.Version(version)
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in configs]  # noqa: RUF012

            def _info(self) -> Any:
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict({**images, **(features or {})}),
                    supervised_keys=supervised_keys,
                )

            def _split_generators(self, _: Any) -> dict[str, Any]:
                start = np.cumsum([0, *sizes.values()])
                return {
                    name: self._generate_examples(int(first), size)
                    for (name, size), first in zip(sizes.items(), start, strict=False)
                }

            def _generate_examples(self, first: int, size: int) -> Iterator[tuple[int, Any]]:
                for number in range(first, first + size):
                    yield number, example(number)

        download = tfds.download.DownloadConfig(num_shards=num_files)
        for config in configs or (None,):
            builder = Tiny(data_dir=tmp_path, config=config)
            builder.download_and_prepare(download_config=download)
        return tmp_path

    return write


@pytest.fixture
def table(prepare: Prepare) -> Path:
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {
        "x": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        "y": tfds.features.Scalar(dtype=np.float32),
    }
    return prepare({"train": 20, "validation": 5, "test": 4}, row, features=features)


def load(data_dir: Path, name: str = "tiny", **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {"batch_size": 4, **changes}
    return TFDS(name=name, data_dir=str(data_dir), **arguments).load()


def numbers(inputs: Any) -> list[int]:
    return [round(float(value) * 255) for value in inputs[:, 0, 0, 0]]


def test_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    source = TFDS(name="mnist", batch_size=4)
    assert source.task is None
    with pytest.raises(UserError, match=r"pip install 'expt\[tfds\]'"):
        source.load()


def test_images(prepare: Prepare) -> None:
    dataset = load(prepare({"train": 20, "validation": 5, "test": 4}, image))
    assert (dataset.name, dataset.task) == ("tfds", "classification")
    assert dataset.class_names == ("bird", "cat")
    assert dataset.input_scale is None
    assert [len(split) for _, split in dataset.splits()] == [20, 5, 4]
    for (_, split), first, size in zip(dataset.splits(), (0, 20, 25), (20, 5, 4), strict=True):
        inputs = split.first(len(split))
        assert inputs.dtype == np.float32
        assert split.targets.dtype == np.int32
        # The package shuffles examples when it writes the files.
        assert sorted(numbers(inputs)) == list(range(first, first + size))
        for number, pixels, label in zip(numbers(inputs), inputs, split.targets, strict=True):
            np.testing.assert_array_equal(pixels, image(number)["x"] / np.float32(255))
            assert label == number % 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"train": 40}, [28, 6, 6]),
        ({"train": 40, "test": 10}, [34, 6, 10]),
        ({"train": 40, "validation": 9}, [34, 9, 6]),
        ({"train": 40, "validation": 9, "test": 3, "extra": 5}, [40, 9, 3]),
    ],
)
def test_missing_splits_are_drawn_from_train(
    prepare: Prepare, sizes: Mapping[str, int], expected: list[int]
) -> None:
    data_dir = prepare(sizes, image)
    dataset = load(data_dir)
    assert [len(split) for _, split in dataset.splits()] == expected
    everything = [n for _, split in dataset.splits() for n in numbers(split.inputs)]
    assert sorted(everything) == list(range(sum(expected)))
    assert load(data_dir).fingerprint == dataset.fingerprint
    other = load(data_dir, split_seed=1)
    # The seed has an effect only where a split is drawn.
    assert (other.fingerprint == dataset.fingerprint) == (len(sizes) == 4)


def test_several_files_are_read_in_order(prepare: Prepare) -> None:
    data_dir = prepare({"train": 40}, image, num_files=8)
    assert len(list(data_dir.rglob("*.tfrecord*"))) == 8
    # Reading files in parallel would mix their examples differently each time.
    assert len({load(data_dir).fingerprint for _ in range(3)}) == 1


def test_a_regression(table: Path) -> None:
    dataset = load(table)
    assert (dataset.task, dataset.class_names, dataset.num_outputs) == ("regression", (), 1)
    for _, split in dataset.splits():
        assert split.targets.dtype == np.float64
        assert split.targets.shape == (len(split), 1)
        np.testing.assert_array_equal(split.targets[:, 0], 3 * split.first(99)[:, 0])
    scale = Scale.fit(dataset.train.first(99))
    assert dataset.input_scale is not None
    np.testing.assert_array_equal(dataset.input_scale.mean, scale.mean)
    assert dataset.target_scale is not None
    np.testing.assert_allclose(dataset.target_scale.mean, [3 * 9.5])
    plain = load(table, standardize=False, standardize_targets=False)
    assert plain.input_scale is plain.target_scale is None


def test_options(prepare: Prepare) -> None:
    data_dir = prepare({"train": 20, "validation": 5, "test": 4}, image)
    dataset = load(data_dir, standardize=True, augment={"flip": True})
    assert dataset.input_scale is not None
    assert dataset.input_scale.mean.shape == (3,)
    assert dataset.target_scale is None
    assert dataset.augmentation.flip


def test_versions_and_configs(prepare: Prepare) -> None:
    # 1.10 is newer than 1.9, though it comes first in alphabetical order.
    for version, count in (("1.9.0", 21), ("1.10.0", 22)):
        for config in ("one", "two"):
            sizes = {"train": count + (config == "two") * 10, "validation": 5, "test": 4}
            data_dir = prepare(sizes, image, version=version, configs=(config,))
    assert len(load(data_dir, "tiny/one").train) == 22
    assert len(load(data_dir, "tiny/two").train) == 32
    assert len(load(data_dir, "tiny/one:1.9.0").train) == 21
    with pytest.raises(UserError, match=r"it has the configs one, two; choose one with .*tiny/one"):
        load(data_dir)
    for name in ("tiny/three", "tiny/one:2.0.0"):
        with pytest.raises(UserError, match=rf"data\.name={name}: there is no such .*one/1\.10\.0"):
            load(data_dir, name)
    # With a single config left, it need not be named.
    shutil.rmtree(data_dir / "tiny" / "one")
    assert len(load(data_dir).train) == 32


def test_missing_data_set_is_reported(prepare: Prepare) -> None:
    data_dir = prepare({"train": 20}, image)
    expected = (
        rf"it is not in data\.data_dir={re.escape(str(data_dir))}, which has tiny.*tfds build"
    )
    with pytest.raises(UserError, match=expected):
        load(data_dir, "mnist")  # the package knows this name and would download it
    with pytest.raises(UserError, match="which has no data sets"):
        load(data_dir / "not" / "there")


@pytest.mark.parametrize(
    "name", ["", "../tiny", "a b", "huggingface:tiny", "tiny/x=1", "/tiny", None]
)
def test_invalid_name_is_reported(prepare: Prepare, name: Any) -> None:
    with pytest.raises(UserError, match=rf"data\.name={name}: expected the name of a data set"):
        load(prepare({"train": 4}, image), name)


@pytest.mark.parametrize(
    ("make_features", "change", "message"),
    [
        (lambda f: {"x": f.Text()}, {"x": "text"}, "its inputs are of the type object"),
        (lambda f: {"x": f.Image(shape=(None, None, 3))}, {}, r"inputs have the shape \(None, N"),
        (lambda f: {"y": f.Scalar(dtype=np.int64)}, {}, "targets are of the type int64"),
        (lambda f: {"y": f.Text()}, {"y": "text"}, "targets are of the type object"),
        (
            lambda f: {"y": f.Sequence(f.Scalar(dtype=np.float32))},
            {"y": [1.0, 2.0]},
            r"targets have the shape \(None,\)",
        ),
    ],
)
def test_unsupported_features_are_reported(
    prepare: Prepare, make_features: Callable[[Any], Any], change: Examples, message: str
) -> None:
    features = make_features(pytest.importorskip("tensorflow_datasets").features)
    data_dir = prepare({"train": 20}, lambda number: {**image(number), **change}, features=features)
    with pytest.raises(UserError, match=rf"data\.name=tiny: its {message}|{message}"):
        load(data_dir)


def test_data_set_without_supervised_keys_is_reported(prepare: Prepare) -> None:
    data_dir = prepare({"train": 20}, image, supervised_keys=None)
    with pytest.raises(UserError, match="does not declare which features are input and target"):
        load(data_dir)


def test_missing_train_split_is_reported(prepare: Prepare) -> None:
    data_dir = prepare({"test": 20}, image)
    with pytest.raises(UserError, match="has the splits test; expected train"):
        load(data_dir)


def test_class_with_too_few_examples_is_reported(prepare: Prepare) -> None:
    data_dir = prepare({"train": 6}, image)
    with pytest.raises(UserError, match=r"data\.name=tiny: class 0 has 3 example"):
        load(data_dir, batch_size=1)


def test_withheld_labels_are_reported(prepare: Prepare) -> None:
    # Data sets of competitions have the label -1 in their test split.
    sizes = {"train": 20, "test": 4}
    data_dir = prepare(sizes, lambda n: {**image(n), "y": -1 if n >= 20 else n % 2})
    with pytest.raises(UserError, match="targets of the test split are not all labels"):
        load(data_dir)


@pytest.mark.parametrize(
    ("pattern", "content"),
    [
        ("*train*", None),
        ("*train*", b"\1" * 30),
        ("dataset_info.json", b"{"),
        ("features.json", b"{"),
        ("features.json", None),
        ("features.json", b"{}"),
    ],
)
def test_damaged_files_are_reported(prepare: Prepare, pattern: str, content: bytes | None) -> None:
    data_dir = prepare({"train": 20}, image)
    (file,) = (data_dir / "tiny" / "1.0.0").glob(pattern)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match="can't be read"):
        load(data_dir)


def test_module_named_in_a_file_is_not_imported(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = prepare({"train": 20}, image)
    # Importing this module would end the test.
    (data_dir / "harmful.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(data_dir)
    file = data_dir / "tiny" / "1.0.0" / "features.json"
    features = json.loads(file.read_text())
    features["featuresDict"]["features"]["x"]["pythonClassName"] = "harmful.Feature"
    file.write_text(json.dumps(features))
    with pytest.raises(UserError, match=r"features\.json names foreign code, harmful\.Feature"):
        load(data_dir)
    assert "harmful" not in sys.modules


def test_data_too_small_to_split_is_loaded_whole(prepare: Prepare) -> None:
    data_dir = prepare({"train": 2, "test": 1}, image)
    with pytest.raises(UserError, match="expected at least 5 of each class"):
        load(data_dir)
    dataset = TFDS(name="tiny", batch_size=8, data_dir=str(data_dir)).load_whole(("bird", "cat"))
    assert numbers(dataset.test.inputs) == [0, 1, 2]
    assert dataset.class_names == ("bird", "cat")
