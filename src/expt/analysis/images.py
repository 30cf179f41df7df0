"""The images of the best variants' runs side by side, small enough for one HTML file."""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageChops

from expt.analysis.chart_data import short_labels
from expt.analysis.compared_run import ComparedRun
from expt.analysis.grouping import by_rank
from expt.analysis.table import Comparison
from expt.record.replay import IMAGES

_MOST_RUNS = 12
_MOST_STEPS = 16  # of a kind
_MOST_IMAGES = 150  # these already take some seconds to encode
_LARGE_IMAGE = 16_000  # bytes; larger ones are also tried with a lossy encoding
_MOST_BYTES = 2_500_000  # of all images
_LONGEST_SIDE = 900  # pixels
_LARGEST = 50_000_000  # pixels; larger files are not decoded
_MARGIN = 6  # pixels kept below the lowest drawn row
_FILE = re.compile(r"(?P<name>.+)_(?P<step>\d{1,18})\.png")
_TITLES = {
    "summary": "Layers by training time",
    "mistakes": "Worst mistakes",
    "confusion": "Confusion matrix",
    "predictions": "Predictions",
}
"""The titles of the kinds that come first, by a word in their names."""


@dataclass
class ImageSeries:
    """The images of one kind in one run.

    Attributes:
        caption: The label of the run.
        is_best: Whether the run belongs to the best variant.
        sources: The images as `data:` URLs by step; None for a file that can't be read.
    """

    caption: str
    is_best: bool = False
    sources: dict[int, str | None] = field(default_factory=dict)

    def at(self, step: int) -> int:
        """Returns the last step with an image up to the given step, or the first if none is."""
        return max((one for one in self.sources if one <= step), default=min(self.sources))


@dataclass(frozen=True)
class ImageRow:
    """The images of one kind in all shown runs.

    Attributes:
        title: The title of the kind, such as `Worst mistakes (val/mistakes)`.
        step: The step shown at first: the last one that all runs have, or the last of any run if
            they have none in common.
        series: The images of each run.
    """

    title: str
    step: int
    series: Sequence[ImageSeries]

    @property
    def steps(self) -> list[int]:
        """All steps at which any run has an image, in ascending order."""
        return sorted({step for series in self.series for step in series.sources})


@dataclass(frozen=True)
class _Kind:
    """The files of one kind of image.

    Attributes:
        name: The kind as in the names of the files, such as `val_mistakes`.
        runs: Of each run the caption, whether it is of the best variant, the folder, and the steps.
    """

    name: str
    runs: Sequence[tuple[str, bool, Path, set[int]]]

    @property
    def shown(self) -> int:
        common = set.intersection(*(steps for *_, steps in self.runs))
        return max(common or set.union(*(steps for *_, steps in self.runs)))

    def ordered_steps(self) -> list[int]:
        """Returns the steps by importance: the one shown at first, the ends, those in between."""
        others = sorted(set.union(*(steps for *_, steps in self.runs)) - {self.shown})
        places = np.linspace(0, len(others) - 1, min(len(others), _MOST_STEPS - 1)).round()
        kept = [others[int(place)] for place in places]
        return [self.shown, *(kept[place] for place in _bisected(len(kept)))]


def image_rows(comparison: Comparison) -> list[ImageRow]:
    """Returns a row for each kind of image, with the runs of the best variants.

    Each run has an image for the step that is shown at first. Further steps are added until the
    limits on the number of images and bytes are reached.
    """
    runs = [
        (caption, is_best, run.directory / IMAGES, _steps(run.directory))
        for caption, is_best, run in _chosen(comparison)
    ]
    kinds = [
        _Kind(name, [(c, b, folder, steps[name]) for c, b, folder, steps in runs if name in steps])
        for name in dict.fromkeys(name for *_, steps in runs for name in steps)
    ]
    kinds.sort(key=_kind_order)
    rows = [_row_with_first_step(kind) for kind in kinds]
    num_images = sum(len(row.series) for row in rows)
    num_bytes = sum(
        len(s or "") for row in rows for one in row.series for s in one.sources.values()
    )
    for series, path, step in _further_images(kinds, rows):
        if num_images >= _MOST_IMAGES or num_bytes >= _MOST_BYTES:
            break
        source = _source(path)
        series.sources[step] = source
        num_images, num_bytes = num_images + 1, num_bytes + len(source or "")
    return rows


def _row_with_first_step(kind: _Kind) -> ImageRow:
    all_series = []
    for caption, is_best, folder, steps in kind.runs:
        step = max((one for one in steps if one <= kind.shown), default=min(steps))
        sources = {step: _source(_path(folder, kind.name, step))}
        all_series.append(ImageSeries(caption, is_best, sources))
    # The file's name has the first slash of the tag, val/mistakes, as an underscore.
    name = kind.name.replace("_", "/", 1)
    titles = [title for word, title in _TITLES.items() if word in name]
    return ImageRow(f"{titles[0]} ({name})" if titles else name, kind.shown, all_series)


def _further_images(
    kinds: Sequence[_Kind], rows: Sequence[ImageRow]
) -> Iterator[tuple[ImageSeries, Path, int]]:
    """Yields further images to add: step by step, for all kinds in turn and all of their runs."""
    orders = [kind.ordered_steps() for kind in kinds]
    for place in range(_MOST_STEPS):
        for kind, row, order in zip(kinds, rows, orders, strict=True):
            for (_, _, folder, steps), series in zip(kind.runs, row.series, strict=True):
                if place < len(order) and (step := order[place]) in steps - series.sources.keys():
                    yield series, _path(folder, kind.name, step), step


def _bisected(count: int) -> list[int]:
    """Returns 0 to `count` - 1 in an order of bisection: both ends first, then the middles."""
    order = list(dict.fromkeys([0, count - 1])) if count else []
    parts = 2
    while len(order) < count:
        order += [
            place
            for part in range(1, parts)
            if (place := round(part * (count - 1) / parts)) not in order
        ]
        order = list(dict.fromkeys(order))
        parts *= 2
    return order


def _kind_order(kind: _Kind) -> tuple[int, str]:
    places = [place for place, word in enumerate(_TITLES) if word in kind.name]
    return min(places, default=len(_TITLES)), kind.name


def _chosen(comparison: Comparison) -> list[tuple[str, bool, ComparedRun]]:
    """Returns caption, whether it is of the best variant, and the run, for each run to show.

    These are the runs with the lowest seed of the best variants, or all runs of a single variant.
    """
    if comparison.leading is None:
        return []
    ranked = by_rank(comparison)
    if len(ranked) == 1:
        runs = sorted(ranked[0].counted, key=_seed)
        return [(f"seed {run.seed}", False, run) for run in runs[:_MOST_RUNS]]
    first = ranked[:_MOST_RUNS]
    # Variants usually have their lowest seed in common, which makes the images comparable.
    lowest = [min(variant.counted, key=_seed) for variant in first]
    return [
        (f"{label}, seed {run.seed}", variant.is_best, run)
        for label, variant, run in zip(short_labels(first), first, lowest, strict=True)
    ]


def _seed(run: ComparedRun) -> int:
    return -1 if run.seed is None else run.seed


def _path(folder: Path, name: str, step: int) -> Path:
    return folder / f"{name}_{step:07d}.png"


def _steps(directory: Path) -> Mapping[str, set[int]]:
    """Returns the steps of each kind of image for which a run has a file."""
    found: dict[str, set[int]] = {}
    try:
        names = [path.name for path in (directory / IMAGES).iterdir()]
    except OSError:
        return {}
    for file in sorted(names):
        match = _FILE.fullmatch(file)
        # An interrupted run may have left a file that was not written to its end.
        if match is not None and not file.startswith("partial-"):
            found.setdefault(match["name"], set()).add(int(match["step"]))
    return found


def _source(path: Path) -> str | None:
    """Returns an image as a `data:` URL; None if the file can't be read or is too large."""
    try:
        with PillowImage.open(path, formats=["PNG"]) as file:
            if file.width * file.height > _LARGEST:
                return None
            image = _without_empty_rows(file.convert("RGB"))
            image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), PillowImage.Resampling.LANCZOS)
    # Pillow raises many types of exceptions for damaged files.
    except Exception:  # noqa: BLE001
        return None
    # Drawn figures are smallest with a lossless encoding, photographs with a lossy one.
    encoded = _encoded(image, lossless=True)
    if len(encoded) > _LARGE_IMAGE:
        encoded = min(encoded, _encoded(image, quality=75), key=len)
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"


def _without_empty_rows(image: PillowImage.Image) -> PillowImage.Image:
    """Cuts off the white rows at the bottom of an image."""
    # The width is kept, so that images side by side have the same scale.
    box = ImageChops.invert(image).getbbox()
    if box is None or image.getpixel((0, 0)) != (255, 255, 255):
        return image
    return image.crop((0, 0, image.width, min(image.height, box[3] + _MARGIN)))


def _encoded(image: PillowImage.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **options)
    return buffer.getvalue()
