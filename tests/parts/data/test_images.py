import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from expt.errors import RunError, UserError
from expt.parts.data import image_checks
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.image_decoding import decode_image, pillow_warnings
from expt.parts.data.image_files import ImageFiles
from expt.parts.data.images import ImageFolder
from expt.parts.data.scale import Scale
from parts.data.image_variants import GRAY, STORED, chunk, oriented, png

Pixels = NDArray[np.uint8]
CLASSES = ("bird", "cat")


def draw(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(256, size=shape or (4, 5, 3), dtype=np.uint8)


def save(file: Path, pixels: Pixels, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


def fill(folder: Path, count: int = 20, classes: Sequence[str] = CLASSES, *shape: int) -> None:
    """Saves `count` images of each class; the name of a file is the seed of its pixels."""
    for number, name in enumerate(classes):
        for index in range(count):
            seed = number * count + index
            save(folder / name / f"{seed:03}.png", draw(seed, *shape))


def load(path: Path, **changes: Any) -> Dataset:
    return ImageFolder(path=str(path), batch_size=changes.pop("batch_size", 4), **changes).load()


def stream(split: Split) -> ImageFiles:
    assert isinstance(split.inputs, ImageFiles)
    return split.inputs


def names(split: Split) -> list[str]:
    """Returns the paths of a split's files relative to the folder."""
    images = stream(split)
    files = images.files(np.arange(len(split))).tolist()
    return [str(Path(os.fsdecode(file)).relative_to(images.folder)) for file in files]


def read(split: Split) -> NDArray[np.float32]:
    return split.read(np.arange(len(split)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


def test_images_of_class_folders_are_split(folder: Path) -> None:
    dataset = load(folder)
    assert (dataset.name, dataset.task) == ("image_folder", "classification")
    assert (dataset.class_names, dataset.input_shape) == (CLASSES, (4, 5, 3))
    assert dataset.input_scale is None
    assert dataset.skipped == 0
    assert [len(split) for _, split in dataset.splits()] == [28, 6, 6]
    seen = []
    for _, split in dataset.splits():
        assert split.targets.dtype == np.int32
        np.testing.assert_array_equal(np.bincount(split.targets), [len(split) // 2] * 2)
        images = read(split)
        assert images.dtype == np.float32
        for name, label, image in zip(names(split), split.targets, images, strict=True):
            assert Path(name).parent.name == CLASSES[label]
            expected = draw(int(Path(name).stem)).astype(np.float32) / np.float32(255)
            np.testing.assert_array_equal(image, expected)
        seen += names(split)
    assert len(set(seen)) == 40


def test_splits_depend_only_on_split_seed(folder: Path) -> None:
    first = load(folder, split_seed=1)
    # NumPy's global generator must not influence the split.
    np.random.seed(123)
    assert load(folder, split_seed=1).fingerprint == first.fingerprint
    other = load(folder, split_seed=2)
    assert set(names(other.validation)) != set(names(first.validation))
    assert other.fingerprint != first.fingerprint


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folders_of_splits_are_used(tmp_path: Path, validation: str) -> None:
    for part, count in (("train", 10), (validation, 3), ("test", 2)):
        fill(tmp_path / part, count)
    dataset = load(tmp_path)
    for (_, split), part in zip(dataset.splits(), ("train", validation, "test"), strict=True):
        assert {Path(name).parts[0] for name in names(split)} == {part}
    assert [len(split) for _, split in dataset.splits()] == [20, 6, 4]
    assert dataset.class_names == CLASSES


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (["train"], [28, 6, 6]),
        (["train", "val"], [34, 10, 6]),
        (["train", "test"], [34, 6, 10]),
    ],
)
def test_a_missing_split_is_drawn_from_train(
    tmp_path: Path, given: list[str], sizes: list[int]
) -> None:
    for part in given:
        fill(tmp_path / part, 20 if part == "train" else 5)
    dataset = load(tmp_path)
    assert [len(split) for _, split in dataset.splits()] == sizes
    everything = [name for _, split in dataset.splits() for name in names(split)]
    assert len(set(everything)) == len(everything) == sum(sizes)
    for _, split in dataset.splits():
        np.testing.assert_array_equal(np.bincount(split.targets), [len(split) // 2] * 2)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, 10, ("plane", "train"))
    assert load(tmp_path).class_names == ("plane", "train")


def test_a_class_may_be_missing_from_test(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10, ("ant", "bird", "cat"))
    fill(tmp_path / "test", 2, ("cat",))
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.test.targets, [2, 2])
    assert (len(dataset.train), len(dataset.validation)) == (26, 4)


def test_hidden_files_and_documents_are_ignored(folder: Path) -> None:
    fingerprint = load(folder).fingerprint
    (folder / "cat" / ".DS_Store").write_bytes(b"\0")
    (folder / ".git").mkdir()
    (folder / "README.md").write_text("cats and birds")
    assert load(folder).fingerprint == fingerprint


def test_order_does_not_depend_on_the_file_system(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, scandir = load(folder), os.scandir

    # os.scandir is also a context manager.
    class Reversed(list[Any]):
        def __enter__(self) -> "Reversed":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda path: Reversed(list(scandir(path))[::-1]))
    second = load(folder)
    assert second.fingerprint == first.fingerprint
    assert names(second.train) == names(first.train)
    monkeypatch.setattr(os, "scandir", lambda path: Reversed(sorted(scandir(path), key=str)))
    assert names(load(folder).train) == names(first.train)


def test_read_and_take(folder: Path) -> None:
    train = load(folder).train
    everything = read(train)
    indices = np.array([5, 0, 5, 27])
    np.testing.assert_array_equal(train.read(indices), everything[indices])
    taken = train.take(np.array([3, 1, 2])).take(np.array([2, 0]))
    assert len(taken) == 2
    assert stream(taken).shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(read(taken), everything[[2, 3]])
    np.testing.assert_array_equal(taken.targets, train.targets[[2, 3]])
    assert stream(taken).names is stream(train).names


def test_files_are_paths_that_can_be_opened(folder: Path) -> None:
    train = load(folder).train
    files = stream(train).files(np.array([3, 0]))
    assert files.dtype.kind == "S"
    for file, image in zip(files.tolist(), train.read(np.array([3, 0])), strict=True):
        pixels = np.asarray(Image.open(os.fsdecode(file)))
        np.testing.assert_array_equal(pixels / np.float32(255), image)


def test_relative_path_stays_valid_after_chdir(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    train = load(Path(folder.name)).train
    monkeypatch.chdir("/")
    assert read(train).shape == (28, 4, 5, 3)


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert len(load(Path("~")).train) == 28


def test_file_names_may_have_any_characters(tmp_path: Path) -> None:
    fill(tmp_path, 10, ("Müll", "猫 und mehr"))
    dataset = load(tmp_path)
    assert dataset.class_names == ("Müll", "猫 und mehr")
    assert read(dataset.test).shape[0] == len(dataset.test)


# Fingerprints


def test_fingerprint_does_not_depend_on_the_path(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    fill(tmp_path / "other")
    assert load(tmp_path / "one").fingerprint == load(tmp_path / "other").fingerprint


def one_pixel(folder: Path) -> None:
    pixels = draw(7)
    pixels[2, 1, 0] ^= 1
    save(folder / "bird" / "007.png", pixels)


def another_name(folder: Path) -> None:
    (folder / "bird" / "007.png").rename(folder / "bird" / "007b.png")


def two_classes_swapped(folder: Path) -> None:
    one, other = folder / "bird" / "007.png", folder / "cat" / "027.png"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def another_class(folder: Path) -> None:
    (folder / "cat").rename(folder / "dog")


@pytest.mark.parametrize("change", [one_pixel, another_name, two_classes_swapped, another_class])
def test_fingerprint_changes(folder: Path, change: Callable[[Path], None]) -> None:
    first = load(folder)
    change(folder)
    second = load(folder)
    assert second.fingerprint != first.fingerprint
    assert stream(second.train).fingerprint != stream(first.train).fingerprint


def test_fingerprint_changes_with_the_preparation(folder: Path) -> None:
    fingerprints = {
        stream(load(folder, **changes).train).fingerprint
        for changes in ({}, {"channels": 1}, {"image_size": [8, 8]}, {"image_size": [8, 7]})
    }
    assert len(fingerprints) == 4
    train = stream(load(folder).train)
    assert train.take(np.array([0, 1])).fingerprint != train.take(np.array([1, 0])).fingerprint


# Inputs made of the files


@pytest.mark.parametrize("extension", ["png", "bmp", "gif", "jpg", "jpeg", "PNG", "JPG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format(tmp_path: Path, extension: str, channels: int) -> None:
    shape = (6, 7) if channels == 1 else (6, 7, 3)
    for seed in range(20):
        # Few levels, so that GIF's palette of 256 colors loses little.
        pixels = draw(seed, *shape) // 32 * 32
        save(tmp_path / CLASSES[seed % 2] / f"{seed}.{extension}", pixels)
    dataset = load(tmp_path, channels=channels)
    assert dataset.input_shape == (6, 7, channels)
    for name, image in zip(names(dataset.train), read(dataset.train), strict=True):
        with Image.open(tmp_path / name) as opened:
            expected = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
        np.testing.assert_array_equal(image, expected.reshape(image.shape) / np.float32(255))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("P", 3)])
@pytest.mark.filterwarnings("error")
def test_channels_of_the_first_file(tmp_path: Path, mode: str, channels: int) -> None:
    for seed in range(20):
        image = Image.fromarray(draw(seed)).convert(mode)
        file = tmp_path / CLASSES[seed % 2] / f"{seed}.png"
        file.parent.mkdir(exist_ok=True)
        image.save(file)
    dataset = load(tmp_path)
    assert dataset.input_shape == (4, 5, channels)
    for name, image in zip(names(dataset.train), read(dataset.train), strict=True):
        with Image.open(tmp_path / name) as opened:
            expected = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
        np.testing.assert_array_equal(image, expected.reshape(image.shape) / np.float32(255))


def test_image_size_resizes_bilinearly(tmp_path: Path) -> None:
    fill(tmp_path, 10, ("small",), 4, 5, 3)
    fill(tmp_path, 10, ("tall",), 12, 6, 3)
    dataset = load(tmp_path, image_size=[6, 3])
    assert dataset.input_shape == (6, 3, 3)
    assert not stream(dataset.train).is_native
    tall = dataset.train.take(np.flatnonzero(dataset.train.targets == 1))
    for name, image in zip(names(tall), read(tall), strict=True):
        # Shrinking to half is a triangle filter over four pixels with the weights 1, 3, 3, 1.
        pixels = draw(int(Path(name).stem), 12, 6, 3).astype(float)
        middle = [
            sum(w * pixels[2 * row - 1 + k] for k, w in enumerate((1, 3, 3, 1))) / 8
            for row in range(1, 5)
        ]
        center = sum(w * np.asarray(middle)[:, 1 + k] for k, w in enumerate((1, 3, 3, 1))) / 8
        np.testing.assert_allclose(image[1:5, 1] * 255, center, atol=1.01)


def test_image_size_of_all_files_resizes_nothing(folder: Path) -> None:
    dataset = load(folder, image_size=(4, 5))
    # TensorFlow may still decode such files, since nothing is to be resized.
    assert stream(dataset.train).is_native
    np.testing.assert_array_equal(read(dataset.train), read(load(folder).train))


def test_standardize_is_exact(folder: Path) -> None:
    dataset = load(folder, standardize=True)
    expected = Scale.fit(read(dataset.train))
    assert dataset.input_scale is not None
    np.testing.assert_allclose(dataset.input_scale.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(dataset.input_scale.deviation, expected.deviation, rtol=1e-6)
    assert dataset.input_scale.mean.shape == (3,)
    assert dataset.input_scale.mean.dtype == dataset.input_scale.deviation.dtype == np.float64


def test_standardize_ignores_skipped_files(folder: Path) -> None:
    for name in ("bird/000.png", "cat/022.png"):
        (folder / name).write_bytes(b"")
    dataset = load(folder, standardize=True, on_error="skip")
    expected = Scale.fit(read(dataset.train))
    assert dataset.input_scale is not None
    np.testing.assert_allclose(dataset.input_scale.mean, expected.mean, rtol=1e-6)


def test_standardize_only_shifts_constant_channels(tmp_path: Path) -> None:
    for seed in range(20):
        save(tmp_path / CLASSES[seed % 2] / f"{seed}.png", np.full((4, 5), 51, np.uint8))
    scale = load(tmp_path, standardize=True).input_scale
    assert scale is not None
    np.testing.assert_allclose(scale.mean, [0.2], rtol=1e-6)
    np.testing.assert_array_equal(scale.deviation, [1.0])


def test_augment(folder: Path) -> None:
    augmentation = load(folder, augment={"flip": True, "shift": 2}).augmentation
    assert (augmentation.flip, augmentation.shift, augmentation.crop) == (True, 2, 1.0)
    with pytest.raises(UserError, match=r"data\.augment\.flop"):
        load(folder, augment={"flop": True})


# The same pixels in other kinds of files


@pytest.mark.parametrize("channels", [1, 3])
def test_files_of_all_kinds_decode_like_8_bit_files(tmp_path: Path, channels: int) -> None:
    for index, write in enumerate([*GRAY.values()] * 2):
        for place in ("plain", "mixed"):
            file = tmp_path / place / CLASSES[index % 2] / f"{index:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = draw(index, 4, 5)
            file.write_bytes(write(pixels) if place == "mixed" else encode(pixels))
    plain, mixed = (
        load(tmp_path / place, channels=channels, standardize=True) for place in ("plain", "mixed")
    )
    for split, other in zip(plain.splits(), mixed.splits(), strict=True):
        np.testing.assert_array_equal(read(split[1]), read(other[1]))
    assert plain.input_scale is not None
    assert mixed.input_scale is not None
    np.testing.assert_array_equal(plain.input_scale.mean, mixed.input_scale.mean)
    assert stream(plain.train).is_native
    assert not stream(mixed.train).is_native


def test_upright_images_have_one_size(tmp_path: Path) -> None:
    for index in range(24):
        file = tmp_path / CLASSES[index % 2] / f"{index:02}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(oriented(draw(index, 4, 5), 1 + index % 8, "PNG"))
    dataset = load(tmp_path)
    assert dataset.input_shape == (4, 5, 1)
    for name, image in zip(names(dataset.train), read(dataset.train), strict=True):
        pixels = draw(int(Path(name).stem), 4, 5)
        np.testing.assert_array_equal(image[..., 0], pixels / np.float32(255))


def transparent_folder(folder: Path) -> None:
    """Saves images of a red square on a transparent area."""
    for index in range(20):
        layers = np.zeros((4, 5, 4), np.uint8)
        layers[1:3, 1:3] = (200, 10, 10, 255)
        save(folder / CLASSES[index % 2] / f"{index:02}.png", layers)


@pytest.mark.parametrize(
    ("background", "color"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ([9, 8, 7], (9, 8, 7))],
)
def test_background(tmp_path: Path, background: Any, color: tuple[int, int, int]) -> None:
    transparent_folder(tmp_path)
    with pytest.raises(
        UserError, match=r"00\.png can't be used: it has transparent .*white, black"
    ):
        load(tmp_path)
    dataset = load(tmp_path, background=background)
    assert not stream(dataset.train).is_native
    expected = np.full((4, 5, 3), color, np.float32)
    expected[1:3, 1:3] = (200, 10, 10)
    for image in read(dataset.train):
        np.testing.assert_array_equal(image, expected / np.float32(255))


def test_fingerprint_changes_with_the_background(tmp_path: Path) -> None:
    transparent_folder(tmp_path)
    prints = {load(tmp_path, background=color).fingerprint for color in ("white", "black")}
    assert len(prints) == 2


# Images for a trained model


def test_the_preparation_is_recorded(folder: Path) -> None:
    expected = {
        "kind": "image",
        "divisor": 255.0,
        "height": 4,
        "width": 5,
        "channels": 3,
        "can_resize": False,
        "can_recolour": False,
        "background": None,
    }
    assert json.loads(json.dumps(load(folder).preparation)) == expected
    changes = {"image_size": [6, 7], "channels": 1, "background": "white"}
    expected |= {"height": 6, "width": 7, "channels": 1, "can_resize": True, "can_recolour": True}
    expected["background"] = [255, 255, 255]
    assert load(folder, **changes).preparation == expected


def test_other_images_are_prepared_like_the_recorded_ones(tmp_path: Path) -> None:
    fill(tmp_path / "first", 20, CLASSES, 4, 5, 3)
    fill(tmp_path / "other", 20, CLASSES, 6, 7)
    changes: dict[str, Any] = {"image_size": [4, 5], "channels": 3}
    known = load(tmp_path / "first", **changes).preparation
    other = load(tmp_path / "other", preparation=known)
    assert other.preparation == known
    np.testing.assert_array_equal(
        read(other.train), read(load(tmp_path / "other", **changes).train)
    )
    assert load(tmp_path / "first", preparation=known, **changes).preparation == known


def test_files_refused_in_training_are_refused_later(tmp_path: Path) -> None:
    """An option for the conversion lifts the refusal."""
    fill(tmp_path / "first", 20, CLASSES, 4, 5, 3)
    known = load(tmp_path / "first").preparation
    fill(tmp_path / "larger", 20, CLASSES, 6, 7, 3)
    with pytest.raises(UserError, match=r"6x7 .* 4x5 are expected; data.image_size=\[4,5\]"):
        load(tmp_path / "larger", preparation=known)
    larger = load(tmp_path / "larger", preparation=known, image_size=[4, 5])
    assert larger.input_shape == (4, 5, 3)
    fill(tmp_path / "gray", 20, CLASSES, 4, 5)
    with pytest.raises(UserError, match=r"it has gray pixels, but colored ones are expected"):
        load(tmp_path / "gray", preparation=known)
    assert load(tmp_path / "gray", preparation=known, channels=3).input_shape == (4, 5, 3)
    transparent_folder(tmp_path / "clear")
    with pytest.raises(UserError, match=r"it has transparent pixels"):
        load(tmp_path / "clear", preparation=known)
    clear = load(tmp_path / "clear", preparation=known, background="black")
    assert read(clear.train)[0, 0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("key", "value", "known"),
    [
        ("image_size", [8, 8], r"\[4,5\]"),
        ("channels", 1, "3"),
        ("background", "black", r"\[255,255,255\]"),
    ],
)
def test_options_that_contradict_the_preparation_are_refused(
    folder: Path, key: str, value: Any, known: str
) -> None:
    # The images are opaque, but the option is recorded all the same.
    recorded = load(folder, background="white").preparation
    message = rf"data\.{key}={re.escape(str(value))}: the model was trained with {known}; expected"
    with pytest.raises(UserError, match=message):
        load(folder, preparation=recorded, **{key: value})


# TensorFlow's own decoder


def as_tensorflow(file: bytes, channels: int) -> Pixels:
    import tensorflow as tf

    content = tf.io.read_file(file)
    image = tf.io.decode_jpeg(content, channels=channels, dct_method="INTEGER_ACCURATE")
    return np.asarray(image)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"format": "PNG"}),
        ("RGBA", {"format": "PNG"}),
        ("P", {"format": "PNG"}),
        ("L", {"format": "PNG"}),
        ("LA", {"format": "PNG"}),
        ("1", {"format": "PNG"}),
        ("L", {"format": "JPEG"}),
        ("RGB", {"format": "JPEG"}),
        ("RGB", {"format": "JPEG", "quality": 30, "progressive": True}),
        ("RGB", {"format": "JPEG", "quality": 95, "subsampling": 0}),
    ],
)
def test_native_decoding_gives_the_same_pixels(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    for seed in range(20):
        file = tmp_path / CLASSES[seed % 2] / f"{seed}.png"  # decoders look at the content
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(draw(seed, 13, 17, 3)).convert(mode).save(file, **options)
    for channels in (None, 3):
        train = load(tmp_path, channels=channels, batch_size=1).train
        assert stream(train).is_native
        files = stream(train).files(np.arange(len(train))).tolist()
        for file, image in zip(files, read(train), strict=True):
            pixels = as_tensorflow(file, image.shape[-1])
            np.testing.assert_array_equal(pixels / np.float32(255), image)


def test_plain_files_are_decoded_natively_to_the_same_pixels(tmp_path: Path) -> None:
    pixels, colors = draw(1, 9, 13), draw(2, 9, 13, 3)
    contents = [write(pixels) for write in GRAY.values()]
    contents += [oriented(pixels, number, kind) for number in STORED for kind in ("PNG", "JPEG")]
    contents += [png(colors, 8), png(colors, 8, is_interlaced=True)]
    contents += [png(draw(3, 9, 13) % 2**bits, bits) for bits in (1, 2, 4)]
    contents += [png(colors, 8, chunk(b"gAMA", struct.pack(">I", 100_000)))]
    file, num_plain = tmp_path / "image", 0
    for content in contents:
        file.write_bytes(content)
        with pillow_warnings():
            found = decode_image(content, None)
        for channels in {found.channels, 3} if found.is_plain else ():
            num_plain += 1
            expected = np.asarray(found.image.convert({1: "L", 3: "RGB"}[channels]))
            native = as_tensorflow(bytes(file), channels)
            np.testing.assert_array_equal(native, expected.reshape(native.shape))
    assert num_plain > 15  # or nothing would have been compared


@pytest.mark.parametrize(
    ("mode", "extension", "channels"),
    [
        *(("RGB", "png", 1), ("P", "png", 1), ("CMYK", "jpg", 3)),
        *(("RGB", "bmp", 3), ("P", "gif", 3), ("RGB", "tif", 3), ("RGB", "webp", 3)),
    ],
)
def test_files_that_are_not_native(
    tmp_path: Path, mode: str, extension: str, channels: int
) -> None:
    for seed in range(20):
        save(tmp_path / CLASSES[seed % 2] / f"{seed}.png", draw(seed))
    # One file that TensorFlow decodes differently is enough to decode all with Pillow.
    assert stream(load(tmp_path, channels=3).train).is_native
    Image.fromarray(draw(5)).convert(mode).save(tmp_path / "cat" / f"z.{extension}")
    assert not stream(load(tmp_path, channels=channels).train).is_native


# Errors


def encode(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def bad_checksum(content: bytes) -> bytes:
    """Changes the checksum of a PNG's pixels, which is before the end chunk of 12 bytes."""
    return content[:-14] + bytes([content[-14] ^ 1]) + content[-13:]


def huge_png(side: int) -> bytes:
    """Returns a small PNG whose header claims many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def encoded(extension: str, *shape: int) -> bytes:
    stream = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(extension, extension)
    Image.fromarray(draw(1, *shape)).save(stream, kind)
    return stream.getvalue()


BAD_FILES = [
    ("z.png", cut(encoded("png", 4, 5, 3)), "can't be decoded|cut off"),
    ("z.png", encoded("png", 4, 5, 3)[:-1], "cut off"),
    ("z.png", encoded("png", 4, 5, 3)[:-14], "cut off"),
    ("z.png", bad_checksum(encoded("png", 4, 5, 3)), "can't be decoded"),
    ("z.png", encoded("png", 4, 5, 3).replace(b"IDAT", b"IDAU"), "or it is damaged"),
    ("z.jpg", cut(encoded("jpg", 4, 5, 3)), "can't be decoded"),
    ("z.jpg", encoded("jpg", 4, 5, 3)[:-1], "can't be decoded"),
    ("z.gif", cut(encoded("gif", 40, 50, 3)), "can't be decoded"),
    ("z.bmp", cut(encoded("bmp", 4, 5, 3)), "can't be decoded"),
    ("z.png", b"", "it is empty"),
    ("z.png", b"this is a text", "it is not a BMP, GIF, JPEG, PNG, TIFF or WEBP file"),
    ("z.png", encoded("ico", 4, 5, 3), "it is not a BMP"),
    ("z.ico", encoded("ico", 4, 5, 3), r"only \.bmp, \.gif, .*\.webp are read"),
    ("Thumbs.db", b"\0", "only .bmp"),
    ("z.png", encoded("png", 6, 5, 3), r"6x5 pixels, but 4x5 are expected; data\.image_size"),
    (
        "z.png",
        encoded("png", 4, 5),
        r"it has gray pixels, but colored ones are expected; data\.channels",
    ),
    ("z.webp", cut(encoded("webp", 40, 50, 3)), "can't be decoded|or it is damaged"),
    ("z.tif", cut(encoded("tiff", 4, 5, 3)), "can't be decoded|or it is damaged"),
    ("z.png", huge_png(12_000), "can't be decoded .*decompression bomb"),
    ("z.png", huge_png(60_000), "can't be decoded .*decompression bomb"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_unusable_file_is_reported_or_skipped(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    fingerprint = load(folder).fingerprint
    file = folder / "cat" / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{re.escape(str(file))} can't be used: .*{message}") as e:
        load(folder)
    assert "data.on_error=skip" in str(e.value)
    dataset = load(folder, on_error="skip")
    assert dataset.skipped == 1
    # As if the file were not there.
    assert dataset.fingerprint == fingerprint
    (note,) = dataset.notes
    assert f"1 file(s) can't be used and are left out: cat/{name} (" in note


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES[:13])
def test_first_file_may_be_unusable(folder: Path, name: str, content: bytes, message: str) -> None:
    file = folder / "bird" / f"0{name}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(folder)
    assert load(folder, on_error="skip").skipped == 1


def test_first_unusable_file_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Chunks run in threads; the first file by name must be reported, not the first one found.
    monkeypatch.setattr(image_checks, "_FILES_AT_ONCE", 3)
    for name in ("cat/030.png", "bird/011.png", "cat/021.png"):
        (folder / name).write_bytes(b"")
    for _ in range(5):
        with pytest.raises(UserError, match=r"bird/011\.png"):
            load(folder)


def test_broken_link_is_reported(folder: Path) -> None:
    (folder / "cat" / "z.png").symlink_to(folder / "gone.png")
    with pytest.raises(UserError, match=r"z\.png can't be used: it can't be read"):
        load(folder)
    assert load(folder, on_error="skip").skipped == 1


def test_other_sizes_and_colors_are_converted_by_options(folder: Path) -> None:
    save(folder / "cat" / "z.png", draw(1, 6, 5))
    with pytest.raises(UserError, match=r"data\.channels=1 or data\.channels=3"):
        load(folder)
    with pytest.raises(UserError, match=r"data\.image_size=\[4,5\]"):
        load(folder, channels=3)
    dataset = load(folder, channels=3, image_size=[4, 5])
    assert sum(len(split) for _, split in dataset.splits()) == 41


def test_result_does_not_depend_on_chunks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cat" / "z.png").write_bytes(b"")
    first = load(folder, on_error="skip", standardize=True)
    monkeypatch.setattr(image_checks, "_FILES_AT_ONCE", 3)
    second = load(folder, on_error="skip", standardize=True)
    assert second.fingerprint == first.fingerprint
    assert second.skipped == first.skipped == 1


def test_harmless_warnings_are_not_shown(folder: Path) -> None:
    content = encoded("jpg", 4, 5, 3)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0"  # announces five entries, but has none
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (folder / "cat" / "z.jpg").write_bytes(content[:2] + segment + content[2:])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        load(folder)
    assert shown == []


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def no_classes(folder: Path) -> None:
    empty(folder)
    save(folder / "0.png", draw(0))


def no_classes_in_train(folder: Path) -> None:
    empty(folder)
    save(folder / "train" / "0.png", draw(0))


def a_stray_image(folder: Path) -> None:
    save(folder / "0.png", draw(0))


def a_stray_image_beside_train(folder: Path) -> None:
    into_train(folder)
    save(folder / "0.webp", draw(0))


def a_stray_image_in_train(folder: Path) -> None:
    into_train(folder)
    save(folder / "train" / "0.JFIF", draw(0), format="JPEG")


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "cat")


def an_empty_class(folder: Path) -> None:
    shutil.rmtree(folder / "cat")
    (folder / "cat").mkdir()


def a_hidden_file_alone(folder: Path) -> None:
    an_empty_class(folder)
    (folder / "cat" / ".DS_Store").write_bytes(b"")


def a_folder_in_a_class(folder: Path) -> None:
    save(folder / "cat" / "more" / "0.png", draw(0))


def few_examples(folder: Path) -> None:
    for number in range(23, 40):
        (folder / "cat" / f"{number:03}.png").unlink()


def other_extensions_alone(folder: Path) -> None:
    an_empty_class(folder)
    (folder / "cat" / "0.txt").write_bytes(b"")


def into_train(folder: Path) -> None:
    for name in CLASSES:
        shutil.move(folder / name, folder / "train" / name)


def another_class_in_val(folder: Path) -> None:
    into_train(folder)
    fill(folder / "val", 2, ("dog",))


def an_empty_test(folder: Path) -> None:
    into_train(folder)
    (folder / "test").mkdir()


def an_unknown_split(folder: Path) -> None:
    into_train(folder)
    fill(folder / "valid", 2)


def validation_twice(folder: Path) -> None:
    into_train(folder)
    fill(folder / "val", 2)
    fill(folder / "validation", 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "can't be read: .*No such file"),
        (a_file, "can't be read: .*Not a directory"),
        (empty, "holds no folders"),
        (no_classes, r"0\.png is in no class's folder"),
        (no_classes_in_train, r"holds 1 folder\(s\)"),
        (a_stray_image, r"0\.png is in no class's folder"),
        (a_stray_image_beside_train, r"images/0\.webp is in no class's folder"),
        (a_stray_image_in_train, r"train/0\.JFIF is in no class's folder"),
        (one_class, r"holds 1 folder\(s\); expected .* at least two classes"),
        (an_empty_class, "cat holds no files"),
        (a_hidden_file_alone, "cat holds no files"),
        (a_folder_in_a_class, "cat holds a folder, more"),
        (few_examples, r"images: class cat has 3 example\(s\)"),
        (other_extensions_alone, r"0\.txt can't be used: only \.bmp"),
        (another_class_in_val, r"train has no class 'dog'. It has bird, cat"),
        (an_empty_test, "test holds 0 folder"),
        (an_unknown_split, r"holds the folders train, valid; expected train and at most"),
        (validation_twice, r"holds the folders train, val, validation; expected"),
    ],
)
def test_malformed_folders_are_reported(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "images"
    fill(folder)
    change(folder)
    with pytest.raises(UserError, match=message) as error:
        load(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("path", ["", None, 5, "no\0path"])
def test_path_none_is_reported(path: Any) -> None:
    with pytest.raises(UserError, match=r"data\.path"):
        ImageFolder(path=path, batch_size=1).load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("image_size", size) for size in ([8], [8, 8, 3], [0, 8], [-8, 8], [8.0, 8.0], 8, "88")),
        *(("image_size", size) for size in ([], [True, True], ["8", "8"])),
        *(("channels", channels) for channels in (0, 2, 4, "3", True, "gray")),
        *(("background", value) for value in ("red", "", [1, 2], [0, 0, 256], [0.0, 0, 0], 255)),
        *(("on_error", value) for value in ("ignore", "", None, True)),
    ],
)
def test_invalid_options_are_reported(folder: Path, key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"data\.{key}={re.escape(str(value))}: expected"):
        load(folder, **{key: value})


def test_class_without_usable_files_is_reported(folder: Path) -> None:
    for file in (folder / "cat").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match="no file of the class 'cat' can be used for training"):
        load(folder, on_error="skip")


def test_split_without_usable_files_is_reported(folder: Path) -> None:
    into_train(folder)
    (folder / "test" / "cat").mkdir(parents=True)
    (folder / "test" / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match="no file of the val or the test folder can be used"):
        load(folder, on_error="skip")


def test_folder_without_usable_files_is_reported(folder: Path) -> None:
    for file in folder.glob("*/*.png"):
        file.write_bytes(b"")
    with pytest.raises(UserError, match="none of the files there can be decoded"):
        load(folder, on_error="skip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "it is empty"),
        (cut(encoded("png", 4, 5, 3)), "decoded|cut off"),
        (encoded("png", 6, 5, 3), "6x5 pixels"),
    ],
)
def test_file_that_changes_after_loading_fails_the_run(
    folder: Path, content: bytes | None, message: str
) -> None:
    train = load(folder).train
    file = folder / names(train)[3]
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    # Other files can still be read.
    assert train.read(np.arange(3)).shape == (3, 4, 5, 3)
    with pytest.raises(RunError, match=f"{re.escape(str(file))} was usable when .*({message})"):
        train.read(np.array([3]))


# In a fresh process: allocations of other tests must not count.
_MEASURE = """
import json, sys, tracemalloc
from expt.parts.data.images import ImageFolder

def peak_and_kept(path):
    tracemalloc.start()
    dataset = ImageFolder(path=path, batch_size=2).load()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, kept, len(dataset.train)

print(json.dumps([peak_and_kept(path) for path in sys.argv[1:]]))
"""


def test_memory_grows_only_with_the_names_of_files(tmp_path: Path) -> None:
    content = encoded("png", 16, 16, 3)
    counts = (20, 1000, 2000)  # the first load only triggers late imports
    for count in counts:
        for name in CLASSES:
            folder = tmp_path / str(count) / name
            folder.mkdir(parents=True)
            for number in range(count // 2):
                (folder / f"{number:05}.png").write_bytes(content)
    paths = [str(tmp_path / str(count)) for count in counts]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *paths], capture_output=True, text=True, check=True
    )
    _, (peak, kept, num_train), (twice_peak, twice_kept, _) = json.loads(done.stdout)
    assert num_train > 500
    assert (twice_kept - kept) / 1000 < 90  # bytes per file; its 16 x 16 x 3 pixels would be 768
    assert (twice_peak - peak) / 1000 < 200


def test_equal_images_in_two_splits_are_counted(tmp_path: Path) -> None:
    from expt.parts.data.duplicates import duplicates_note

    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (4, 4), np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    assert duplicates_note(load(tmp_path)) is None
    with Image.open(tmp_path / "train" / "a" / "0.png") as image:
        image.save(tmp_path / "test" / "a" / "1.bmp")  # the same pixels in another format
    note = duplicates_note(load(tmp_path))
    assert note is not None
    assert note.startswith("1 of 7 test examples ")


def test_class_names_do_not_depend_on_unicode_encoding(tmp_path: Path) -> None:
    # é as one character, and as e with a combining accent: the same name on the screen.
    for number, name in enumerate(("caf\u00e9", "cafe\u0301", "tea")):
        (tmp_path / "all" / name).mkdir(parents=True)
        for part, folder in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
            (tmp_path / "split" / part / (folder if number < 2 else "tea")).mkdir(
                parents=True, exist_ok=True
            )
    for place in list(tmp_path.rglob("*")):
        if place.is_dir() and not any(place.iterdir()):
            for number in range(6):
                pixels = np.full((4, 4), 40 * number, np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    with pytest.raises(UserError, match=r"two folders called 'café', .* encoded differently"):
        load(tmp_path / "all")
    assert load(tmp_path / "split").class_names == ("caf\u00e9", "tea")


def test_duplicates_are_dropped_before_the_split(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(8):
            image = Image.fromarray(random.integers(0, 256, (4, 4), np.uint8))
            for copy in range(5):
                image.save(tmp_path / name / f"{number}_{copy}.png")
    assert [len(split) for _, split in load(tmp_path).splits()] == [56, 12, 12]
    dataset = load(tmp_path, duplicates="drop")
    assert sum(len(split) for _, split in dataset.splits()) == 16
    assert dataset.notes == ("64 duplicates of other images were dropped.",)
    pixels = np.concatenate([split.first(16) for _, split in dataset.splits()])
    assert len(np.unique(pixels.reshape(16, -1), axis=0)) == 16
    with pytest.raises(UserError, match=r"data\.duplicates=some: expected one of keep, drop"):
        load(tmp_path, duplicates="some")
