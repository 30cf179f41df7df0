import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from record_helpers import make_run

from expt.record import replay
from expt.record.images import ImageRecorder
from expt.record.journal import FILE_NAME, Journal, complete_size
from expt.record.recorder import Image, Scalars
from expt.record.replay import image_keys, read_image, read_images, read_scalars
from expt.runs.run import Status

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 255, (6, 5, 3), dtype=np.uint8)


def _block(first: int, last: int, *names: str) -> Scalars:
    steps = np.arange(first, last + 1)
    values = {name: RANDOM.normal(size=len(steps)).astype(np.float32) for name in names}
    return Scalars(steps, steps // 10 + 1, steps.astype(np.float64) + 0.25, values)


def _write(folder: Path, *records: Scalars) -> Path:
    journal = Journal()
    journal.open(make_run(folder))
    for record in records:
        journal.write(record)
    journal.close(Status.KILLED)
    return folder / FILE_NAME


def _assert_equal(found: Scalars, expected: Scalars) -> None:
    for name in ("steps", "epochs", "times"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert list(found.values) == list(expected.values)
    for name, column in expected.values.items():
        assert found.values[name].dtype == np.float32
        np.testing.assert_array_equal(found.values[name], column)


def test_scalars_are_grouped_by_metrics(tmp_path: Path) -> None:
    training, more = _block(1, 30, "train/loss", "train/x"), _block(31, 50, "train/loss")
    training.values["train/x"][:3] = np.nan, np.inf, -np.inf
    evaluation = _block(30, 30, "val/loss")
    path = _write(tmp_path, training, evaluation, more)
    found = list(read_scalars(path))
    assert len(found) == 3
    for one, other in zip(found, (training, evaluation, more), strict=True):
        _assert_equal(one, other)


def test_groups_of_scalars_have_limited_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, _block(1, 30, "train/loss"), _block(31, 50, "train/loss"))
    assert [len(found.steps) for found in read_scalars(path)] == [50]
    monkeypatch.setattr(replay, "_MOST_RECORDS", 20)
    assert [len(found.steps) for found in read_scalars(path)] == [20, 20, 10]
    assert [step for found in read_scalars(path) for step in found.steps] == list(range(1, 51))


def test_scalars_end_at_a_byte(tmp_path: Path) -> None:
    first = _block(1, 30, "train/loss")
    end = complete_size(_write(tmp_path, first))
    path = _write(tmp_path, _block(31, 40, "train/loss"))
    (found,) = read_scalars(path, end)
    _assert_equal(found, first)


def test_a_number_too_large_for_float32_is_infinite(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text('{"step": 1, "epoch": 1, "time": 1.5, "train/loss": 1e99, "note": 3}\n')
    (found,) = read_scalars(path)
    assert found.last() == {"train/loss": np.inf}


def _record(folder: Path, *images: Image) -> None:
    recorder = ImageRecorder()
    recorder.open(make_run(folder))
    for image in images:
        recorder.write(image)


def test_images_are_read_in_order(tmp_path: Path) -> None:
    names = ((5, "val/x"), (5, "val/y"), (12_345_678, "val/x α"), (123_456_789, "a"))
    written = [
        Image(step, step + 1 / 3, name, partial(np.rot90, PIXELS, turns))
        for turns, (step, name) in enumerate(names)
    ]
    _record(tmp_path, *reversed(written))
    found = list(read_images(tmp_path))
    assert [(i.step, i.time, i.name) for i in found] == [(i.step, i.time, i.name) for i in written]
    for one, other in zip(found, written, strict=True):
        np.testing.assert_array_equal(one.pixels(), other.pixels())
        assert one.png() == other.png()
    assert list(image_keys(tmp_path)) == [(i.name, i.step) for i in written]


def test_pixels_are_read_on_demand(tmp_path: Path) -> None:
    _record(tmp_path, Image(1, 0.5, "val/x", lambda: PIXELS))
    (found,) = read_images(tmp_path)
    # Another content shows that the file had not been read yet.
    _record(tmp_path, Image(1, 0.5, "val/x", lambda: PIXELS + 1))
    np.testing.assert_array_equal(found.pixels(), PIXELS + 1)


def test_missing_folder_has_no_images(tmp_path: Path) -> None:
    assert list(read_images(tmp_path)) == []


def test_damaged_and_foreign_files_are_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _record(tmp_path, *(Image(step, 0.5, "val/x", lambda: PIXELS) for step in (1, 2, 3)))
    folder = tmp_path / "images"
    damaged = folder / "val_x_0000002.png"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    PillowImage.fromarray(PIXELS).save(folder / "foreign.png")
    PillowImage.fromarray(PIXELS).save(folder / "other.png", format="JPEG")
    (folder / "text.png").write_text("not an image")
    (folder / "folder.png").mkdir()
    (folder / "partial-val_x_0000004.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert [image.step for image in read_images(tmp_path)] == [1, 3]
    warnings = "\n".join(sorted(record.getMessage() for record in caplog.records))
    assert len(caplog.records) == 5
    for name in ("val_x_0000002", "foreign", "other", "text", "folder"):
        assert f"{name}.png is skipped: it " in warnings
    assert "it has no 'step'" in warnings


PNG = Image(7, 0.1, "val/x", lambda: PIXELS).png()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_file_is_never_read_as_another_image(tmp_path: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(PNG) - 1))
    changed: Any = bytearray(PNG)
    if data.draw(st.booleans()):
        changed[position] ^= data.draw(st.integers(1, 255))
    else:
        del changed[position:]
    file = tmp_path / "x.png"
    file.write_bytes(changed)
    found = read_image(file)
    if found is not None:
        assert (found.step, found.time, found.name) == (7, 0.1, "val/x")
        np.testing.assert_array_equal(found.pixels(), PIXELS)
