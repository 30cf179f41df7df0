import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from expt.errors import UserError
from expt.parts.data.image_preparation import ImagePreparation
from expt.parts.data.images import ImageFolder
from expt.parts.data.preparation import ArrayPreparation, Summary
from expt.prediction.images import ImageInputs, read_images
from parts.data.image_variants import GRAY, STORED, oriented

SHAPE = (4, 5, 1)
GRAY_IMAGES = ImagePreparation(4, 5, 1, can_resize=False).to_mapping()


def draw(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(256, size=shape or (4, 5), dtype=np.uint8)


def save(file: Path, pixels: NDArray[np.uint8]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


def read(
    path: Path, preparation: Mapping[str, Any] = GRAY_IMAGES, shape: tuple[int, ...] = SHAPE
) -> NDArray[np.float32]:
    return np.concatenate([*read_images(path, shape, preparation).batches])


def names(images: ImageInputs, folder: Path) -> list[str]:
    return [str(Path(file).relative_to(folder)) for file in images.files]


def refusal(path: Path, preparation: Mapping[str, Any] = GRAY_IMAGES) -> str:
    with pytest.raises(UserError) as error:
        read(path, preparation)
    return str(error.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_prepared_as_in_training(tmp_path: Path, channels: int) -> None:
    """Training, too, makes the same inputs of an image and its twin of another kind."""
    contents = {f"{number:02}": write(draw(number)) for number, write in enumerate(GRAY.values())}
    for number in range(8):
        content = oriented(draw(number), number + 1, "PNG")
        contents |= {f"{kind}{number}": content for kind in ("t", "u", "v", "w")}
    for number, (name, content) in enumerate(contents.items()):
        file = tmp_path / "ab"[number % 2] / f"{name}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    dataset = ImageFolder(path=str(tmp_path), batch_size=4, channels=channels).load()
    assert dataset.preparation is not None
    images = read_images(tmp_path, (4, 5, channels), dataset.preparation)
    predicted = dict(zip(images.files, np.concatenate([*images.batches]), strict=True))
    assert len(predicted) == len(contents)
    for _, split in dataset.splits():
        stream: Any = split.inputs
        files = [os.fsdecode(file) for file in stream.files(np.arange(len(split)))]
        for name, trained in zip(files, split.read(np.arange(len(split))), strict=True):
            np.testing.assert_array_equal(predicted[name], trained)
    number = list(GRAY).index("png 16")
    expected = draw(number)[..., None] / np.float32(255)
    file = tmp_path / "ab"[number % 2] / f"{number:02}.png"
    np.testing.assert_array_equal(predicted[str(file)], np.broadcast_to(expected, (4, 5, channels)))


@pytest.mark.parametrize("orientation", STORED)
def test_single_image_is_rotated_upright(tmp_path: Path, orientation: int) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(oriented(draw(1), orientation, "PNG"))
    np.testing.assert_array_equal(read(file), draw(1)[None, ..., None] / np.float32(255))


def test_image_files_are_read_and_others_reported(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.jfif", "c.tif", "d.TIFF", "e.webp", "f/g/h.jpeg", "f.bmp", "i.gif"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(GRAY["png L"](draw(1)))
    for name in (".hidden/a.png", "f/.git/b.png", "f/.c.png", "j.heic", "notes.txt", ".DS_Store"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    images = read_images(tmp_path, SHAPE, GRAY_IMAGES)
    expected = ["a.PNG", "b.jfif", "c.tif", "d.TIFF", "e.webp", "f/g/h.jpeg", "f.bmp", "i.gif"]
    assert names(images, tmp_path) == expected
    assert np.concatenate([*images.batches]).shape == (8, *SHAPE)
    (note,) = images.notes
    assert note.startswith(f"5 file(s) or folder(s) in {tmp_path} are left out: .hidden, f/")
    assert "f/.c.png, f/.git, …. Only files that end in .bmp, " in note


def test_no_note_if_all_files_are_read(tmp_path: Path) -> None:
    save(tmp_path / "a.png", draw(1))
    assert read_images(tmp_path, SHAPE, GRAY_IMAGES).notes == ()


def test_links_are_followed_without_cycles(tmp_path: Path) -> None:
    save(tmp_path / "one" / "a.png", draw(1))
    save(tmp_path / "two" / "b.png", draw(2))
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "two" / "self").symlink_to(tmp_path / "two")
    images = read_images(tmp_path / "one", SHAPE, GRAY_IMAGES)
    assert names(images, tmp_path) == ["one/a.png", "one/two/b.png"]


def test_file_name_that_is_invalid_utf8(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/\xff.png"
    with open(file, "wb") as opened:  # noqa: PTH123
        opened.write(GRAY["png L"](draw(1)))
    (name,) = read_images(tmp_path, SHAPE, GRAY_IMAGES).files
    assert name == f"{tmp_path}/\N{REPLACEMENT CHARACTER}.png"


def test_sizes_and_colors_as_in_training(tmp_path: Path) -> None:
    file = save(tmp_path / "image.png", draw(1, 6, 7, 3))
    strict = ImagePreparation(4, 5, 1, can_resize=False, can_recolour=False)
    message = refusal(file, strict.to_mapping())
    assert message.startswith(
        f"{file} can't be used: it has colored pixels, but gray ones are expected."
    )
    recoloring = ImagePreparation(4, 5, 1, can_resize=False, can_recolour=True)
    message = refusal(file, recoloring.to_mapping())
    assert message.startswith(f"{file} can't be used: it has 6x7 pixels, but 4x5 are expected.")
    assert "train with this option: data.image_size=[4,5] resizes all." in message
    resizing = ImagePreparation(4, 5, 1, can_resize=True, can_recolour=True)
    expected = Image.fromarray(draw(1, 6, 7, 3)).convert("L")
    resized = np.asarray(expected.resize((5, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(
        read(file, resizing.to_mapping())[0, ..., 0], resized / np.float32(255)
    )


def test_transparency_as_in_training(tmp_path: Path) -> None:
    layers = np.dstack([draw(1), draw(1), draw(1), draw(2) // 128 * 255])
    file = save(tmp_path / "image.png", layers)
    message = refusal(file)
    assert "it has transparent pixels. Convert it, or train with this option: data.backg" in message
    white = ImagePreparation(4, 5, 1, can_resize=False, background=(255, 255, 255)).to_mapping()
    expected = np.where(layers[..., 3] == 255, draw(1), 255)
    np.testing.assert_array_equal(read(file, white)[0, ..., 0], expected / np.float32(255))


# Models that were trained on arrays


def arrays(divisor: float, dtype: str, most: float, *, is_whole: bool = True) -> dict[str, Any]:
    return ArrayPreparation(divisor, Summary(dtype, 0.0, most, is_whole)).to_mapping()


@pytest.mark.parametrize(
    ("preparation", "divisor"),
    [
        (arrays(255.0, "uint8", 255.0), 255),
        (arrays(16.0, "float64", 16.0), 255),
        (arrays(1.0, "float32", 1.0, is_whole=False), 255),
        (arrays(1.0, "int64", 255.0), 1),
        (arrays(1.0, "float64", 250.0), 1),
        ({}, 255),
    ],
)
def test_pixels_for_a_model_of_arrays(
    tmp_path: Path, preparation: dict[str, Any], divisor: float
) -> None:
    for kind in ("png L", "png 16", "png RGB"):
        file = tmp_path / f"{kind}.png"
        file.write_bytes(GRAY[kind](draw(1)))
        expected = draw(1)[None, ..., None] / np.float32(divisor)
        np.testing.assert_array_equal(read(file, preparation), expected)
    oriented_file = tmp_path / "turned.png"
    oriented_file.write_bytes(oriented(draw(1), 6, "PNG"))
    np.testing.assert_array_equal(read(oriented_file, preparation), expected)
    clear = save(tmp_path / "clear.png", np.zeros((4, 5, 4), np.uint8))
    assert "transparent" in refusal(clear, preparation)


def test_ambiguous_pixel_scale_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "image.png", draw(1))
    message = refusal(file, arrays(1.0, "float64", 3.7, is_whole=False))
    assert message.startswith(f"{file}: the model was trained on arrays of float64 from 0 to 3.7")


@pytest.mark.parametrize("shape", [(4,), (4, 5), (4, 5, 4), (4, 5, 2), (2, 4, 5, 3)])
def test_models_without_image_inputs_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = save(tmp_path / "image.png", draw(1, 4, 5, 4))
    with pytest.raises(UserError, match=r"the model takes inputs of the shape .*, not images"):
        read(file, arrays(1.0, "float32", 1.0, is_whole=False), shape)


# Invalid inputs and records


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    assert refusal(tmp_path).startswith(f"{tmp_path}: there are no images (.bmp, .gif, ")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n and no more", b"II*\0 and no more"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file} can't be used: it ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("height", value) for value in (None, 0, -4, "4", 4.0, True)),
        *(("channels", value) for value in (None, 2, "3", [3], True)),
        *(("can_resize", value) for value in (None, 1, "no")),
        *(("background", value) for value in ("white", [1, 2], [0, 0, 256], 7)),
        *(("divisor", value) for value in (None, 1.0, "255")),
    ],
)
def test_damaged_records(tmp_path: Path, key: str, value: Any) -> None:
    file = save(tmp_path / "image.png", draw(1))
    message = refusal(file, {**GRAY_IMAGES, key: value})
    assert message.startswith("run.json is damaged: its data.preparation is")
