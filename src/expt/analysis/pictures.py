"""The runs' figures side by side, at the same step, small enough for one page."""

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
from expt.analysis.grouping import by_rank
from expt.analysis.reading import ComparedRun
from expt.analysis.table import Comparison
from expt.record.replay import IMAGES

_MOST_RUNS = 12
_MOST_STEPS = 16  # of a kind
_MOST_IMAGES = 150  # which take some seconds to encode
_LARGE_IMAGE = 16_000  # bytes, from which on another encoding is tried
_MOST_BYTES = 2_500_000  # of all images
_LONGEST_SIDE = 900  # pixels
_LARGEST = 50_000_000  # pixels of a file that is opened at all
_MARGIN = 6  # pixels that stay below what is drawn
_FILE = re.compile(r"(?P<name>.+)_(?P<step>\d{1,18})\.png")
_TITLES = {
    "mistakes": "Worst mistakes",
    "confusion": "Confusion matrix",
    "predictions": "Predictions",
}
"""Of the kinds that come first, by a word of their names."""


@dataclass
class Picture:
    """One run's images of one kind.

    Attributes:
        caption: Names the run.
        is_best: Whether the run belongs to the best variant.
        sources: `data:` addresses by step; None for a file that can't be read.
    """

    caption: str
    is_best: bool = False
    sources: dict[int, str | None] = field(default_factory=dict)

    def at(self, step: int) -> int:
        """Returns the last step up to the given one that has an image, else the first one."""
        return max((one for one in self.sources if one <= step), default=min(self.sources))


@dataclass(frozen=True)
class PictureRow:
    """Images of one kind.

    Attributes:
        title: The kind, such as `val/mistakes`.
        step: The step shown first: the last one that all runs have, if there is any.
        pictures: One for each run.
    """

    title: str
    step: int
    pictures: Sequence[Picture]

    @property
    def steps(self) -> list[int]:
        """All steps that any run has an image of."""
        return sorted({step for picture in self.pictures for step in picture.sources})


@dataclass(frozen=True)
class _Kind:
    """Where the images of one kind are: caption, whether it is the best, folder, steps."""

    name: str
    runs: Sequence[tuple[str, bool, Path, set[int]]]

    @property
    def shown(self) -> int:
        common = set.intersection(*(steps for *_, steps in self.runs))
        return max(common or set.union(*(steps for *_, steps in self.runs)))

    def ordered_steps(self) -> list[int]:
        """The steps in the order in which they are worth their bytes: last, first, between."""
        others = sorted(set.union(*(steps for *_, steps in self.runs)) - {self.shown})
        places = np.linspace(0, len(others) - 1, min(len(others), _MOST_STEPS - 1)).round()
        kept = [others[int(place)] for place in places]
        return [self.shown, *(kept[place] for place in _bisected(len(kept)))]


def picture_rows(comparison: Comparison) -> list[PictureRow]:
    """Returns a row for each kind of image: of the best variants, at several steps.

    The step that is shown first is always there; the others as far as the page has room.
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
    num_images = sum(len(row.pictures) for row in rows)
    num_bytes = sum(len(s or "") for row in rows for p in row.pictures for s in p.sources.values())
    for picture, path, step in _further(kinds, rows):
        if num_images >= _MOST_IMAGES or num_bytes >= _MOST_BYTES:
            break
        source = _source(path)
        picture.sources[step] = source
        num_images, num_bytes = num_images + 1, num_bytes + len(source or "")
    return rows


def _row_with_first_step(kind: _Kind) -> PictureRow:
    pictures = []
    for caption, is_best, folder, steps in kind.runs:
        step = max((one for one in steps if one <= kind.shown), default=min(steps))
        sources = {step: _source(_path(folder, kind.name, step))}
        pictures.append(Picture(caption, is_best, sources))
    name = kind.name.replace("_", "/", 1)
    titles = [title for word, title in _TITLES.items() if word in name]
    return PictureRow(f"{titles[0]} ({name})" if titles else name, kind.shown, pictures)


def _further(
    kinds: Sequence[_Kind], rows: Sequence[PictureRow]
) -> Iterator[tuple[Picture, Path, int]]:
    """Yields what else may be shown: the steps of all kinds in turn, each of all runs."""
    orders = [kind.ordered_steps() for kind in kinds]
    for place in range(_MOST_STEPS):
        for kind, row, order in zip(kinds, rows, orders, strict=True):
            for (_, _, folder, steps), picture in zip(kind.runs, row.pictures, strict=True):
                if place < len(order) and (step := order[place]) in steps - picture.sources.keys():
                    yield picture, _path(folder, kind.name, step), step


def _bisected(count: int) -> list[int]:
    """Returns 0 to `count` - 1: first both ends, then the middle of the widest gaps."""
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
    """One run of each of the best variants, with the lowest seed; of a single variant, all."""
    if comparison.leading is None:
        return []
    ranked = by_rank(comparison)
    if len(ranked) == 1:
        runs = sorted(ranked[0].counted, key=_seed)
        return [(f"seed {run.seed}", False, run) for run in runs[:_MOST_RUNS]]
    first = ranked[:_MOST_RUNS]
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
    """The steps of each kind of image for which there is a file."""
    found: dict[str, set[int]] = {}
    try:
        names = [path.name for path in (directory / IMAGES).iterdir()]
    except OSError:
        return {}
    for file in sorted(names):
        match = _FILE.fullmatch(file)
        if match is not None and not file.startswith("partial-"):
            found.setdefault(match["name"], set()).add(int(match["step"]))
    return found


def _source(path: Path) -> str | None:
    try:
        with PillowImage.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > _LARGEST:
                return None
            image = _without_empty_rows(picture.convert("RGB"))
            image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), PillowImage.Resampling.LANCZOS)
    # Pillow raises whatever the damage leads it to.
    except Exception:  # noqa: BLE001
        return None
    # Drawn figures are smallest without loss and unscaled; photographs are not.
    encoded = _encoded(image, lossless=True)
    if len(encoded) > _LARGE_IMAGE:
        encoded = min(encoded, _encoded(image, quality=75), key=len)
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"


def _without_empty_rows(image: PillowImage.Image) -> PillowImage.Image:
    """Cuts off white rows below what is drawn; the width stays, so that scales are the same."""
    box = ImageChops.invert(image).getbbox()
    if box is None or image.getpixel((0, 0)) != (255, 255, 255):
        return image
    return image.crop((0, 0, image.width, min(image.height, box[3] + _MARGIN)))


def _encoded(image: PillowImage.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **options)
    return buffer.getvalue()
