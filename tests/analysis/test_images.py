import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from analysis.made_runs import write_image, write_run, write_sweep
from expt.analysis import images
from expt.analysis.compared_run import read_compared
from expt.analysis.images import image_rows
from expt.analysis.table import Comparison, compare

ACTS = [({"act": "relu"}, [0.1, 0.2]), ({"act": "tanh"}, [0.3])]


def comparison_of(folder: Path) -> Comparison:
    return compare([read_compared(file.parent) for file in sorted(folder.rglob("run.json"))])


def pixels(source: str | None) -> Any:
    assert source is not None
    kind, _, content = source.partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB"))


def test_the_last_common_step_is_shown_first(tmp_path: Path) -> None:
    write_sweep(tmp_path, ACTS, "val/loss")
    for name, steps in (("0_job", (5, 10, 15)), ("1_job", (99,)), ("2_job", (5, 10))):
        for step in steps:
            write_image(tmp_path / name, "val/predictions", step, (step, 0, 0))
    write_image(tmp_path / "2_job", "val/confusion", 20, (0, 0, 9))
    confusion, predictions = image_rows(comparison_of(tmp_path))
    assert (confusion.title, confusion.step) == ("Confusion matrix (val/confusion)", 20)
    assert (predictions.title, predictions.step) == ("Predictions (val/predictions)", 10)
    relu, tanh = predictions.series
    assert (relu.caption, relu.is_best) == ("act=relu, seed 0", True)
    assert (tanh.caption, tanh.is_best) == ("act=tanh, seed 0", False)
    assert predictions.steps == [5, 10, 15]
    assert list(tanh.sources) == [10, 5]
    for series in (relu, tanh):
        for step, source in series.sources.items():
            shown = pixels(source)
            assert shown.shape == (600, 900, 3)
            assert abs(int(shown[5, 5, 0]) - step) <= 2


def test_without_a_common_step_each_run_shows_its_last(tmp_path: Path) -> None:
    write_sweep(tmp_path, [({"act": "relu"}, [0.1]), ({"act": "tanh"}, [0.3])], "val/loss")
    write_image(tmp_path / "0_job", "val/predictions", 4, (0, 0, 0))
    write_image(tmp_path / "1_job", "val/predictions", 6, (0, 0, 0))
    (row,) = image_rows(comparison_of(tmp_path))
    assert row.step == 6
    assert [series.at(row.step) for series in row.series] == [4, 6]


def test_the_seeds_of_a_single_variant_are_side_by_side(tmp_path: Path) -> None:
    write_sweep(tmp_path, [({"act": "relu"}, [0.1] * 15)], "val/loss")
    for directory in list(tmp_path.iterdir()):
        write_image(directory, "val/predictions", 4, (0, 0, 0))
    (row,) = image_rows(comparison_of(tmp_path))
    assert [series.caption for series in row.series] == [f"seed {seed}" for seed in range(12)]


def test_damaged_files_have_no_source(tmp_path: Path) -> None:
    write_image(write_run(tmp_path), "val/predictions", 4, (0, 0, 0))
    (tmp_path / "images" / "val_predictions_0000004.png").write_bytes(b"no image")
    (tmp_path / "images" / "partial-val_predictions_0000009.png").write_bytes(b"")
    (row,) = image_rows(comparison_of(tmp_path))
    assert row.series[0].sources == {4: None}


@pytest.mark.parametrize(("drawn", "height"), [(100, 106), (596, 600), (600, 600), (0, 600)])
def test_white_rows_at_the_bottom_are_cut_off(drawn: int, height: int, tmp_path: Path) -> None:
    write_image(write_run(tmp_path), "val/mistakes", 4, (255, 255, 255))
    path = tmp_path / "images" / "val_mistakes_0000004.png"
    image = Image.new("RGB", (500, 600), "white")
    if drawn:
        ImageDraw.Draw(image).rectangle((40, 20, 90, drawn - 1), fill="black")
    image.save(path)
    (row,) = image_rows(comparison_of(tmp_path))
    assert pixels(row.series[0].sources[4]).shape == (height, 500, 3)


def test_many_steps_are_thinned_evenly_and_keep_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_MOST_STEPS", 5)
    write_run(tmp_path)
    for step in range(0, 101, 10):
        write_image(tmp_path, "val/confusion", step, (0, 0, 0))
    (row,) = image_rows(comparison_of(tmp_path))
    assert row.steps == [0, 30, 60, 90, 100]


@pytest.mark.parametrize(("limit", "value"), [("_MOST_IMAGES", 3), ("_MOST_BYTES", 1)])
def test_further_steps_are_added_up_to_the_limits(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, limit, value)
    write_sweep(tmp_path, [({"act": "relu"}, [0.1]), ({"act": "tanh"}, [0.3])], "val/loss")
    for job in ("0_job", "1_job"):
        for step in (0, 5, 10):
            write_image(tmp_path / job, "val/confusion", step, (0, 0, 0))
    (row,) = image_rows(comparison_of(tmp_path))
    shown = [list(series.sources) for series in row.series]
    assert shown == ([[10, 0], [10]] if limit == "_MOST_IMAGES" else [[10], [10]])
