"""The runs' image grids side by side, at the same step, small enough for one page."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage

from expt.comparison.reading import ComparedRun
from expt.comparison.table import Comparison
from expt.comparison.variants import Variant, labels
from expt.record.replay import IMAGES

_MOST_RUNS = 12
_LONGEST_SIDE = 440  # pixels
_LARGEST = 50_000_000  # pixels of a file that is opened at all
_FILE = re.compile(r"(?P<name>.+)_(?P<step>\d{1,18})\.png")


@dataclass(frozen=True)
class Picture:
    """One run's grid.

    Attributes:
        caption: Whose it is.
        source: The image as a `data:` address; None if the file can't be read.
    """

    caption: str
    source: str | None


@dataclass(frozen=True)
class PictureRow:
    """Grids of one kind.

    Attributes:
        title: What they show, and at which step.
        pictures: One a run.
    """

    title: str
    pictures: Sequence[Picture]


def picture_rows(comparison: Comparison) -> list[PictureRow]:
    """Returns a row a kind of grid: of the first variants, at the last step that all have."""
    runs = _chosen(comparison.variants)
    by_run = [(caption, run.directory / IMAGES, _steps(run.directory)) for caption, run in runs]
    rows = []
    for name in dict.fromkeys(name for _, _, steps in by_run for name in steps):
        having = [
            (caption, folder, steps[name]) for caption, folder, steps in by_run if name in steps
        ]
        common = set.intersection(*(steps for _, _, steps in having))
        kind = name.replace("_", "/", 1)
        if common:
            last = max(common)
            title, shown = f"{kind}, step {last}", [(c, folder, last) for c, folder, _ in having]
        else:
            title = f"{kind}, the last step of each, for they have none in common"
            shown = [(f"{c}, step {max(s)}", folder, max(s)) for c, folder, s in having]
        pictures = [Picture(c, _source(folder, name, step)) for c, folder, step in shown]
        rows.append(PictureRow(title, pictures))
    return rows


def data_address(content: bytes, kind: str) -> str:
    """Returns an image as an address that holds it whole."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _chosen(variants: Sequence[Variant]) -> list[tuple[str, ComparedRun]]:
    """One run of each of the first variants, with the lowest seed; of a single variant, all."""
    measured = [variant for variant in variants if variant.counted]
    if len(measured) == 1:
        runs = sorted(measured[0].counted, key=_seed)
        return [(f"seed {run.seed}", run) for run in runs[:_MOST_RUNS]]
    first = measured[:_MOST_RUNS]
    lowest = [min(variant.counted, key=_seed) for variant in first]
    return [
        (f"{label}, seed {run.seed}", run) for label, run in zip(labels(first), lowest, strict=True)
    ]


def _seed(run: ComparedRun) -> int:
    return -1 if run.seed is None else run.seed


def _steps(directory: Path) -> dict[str, set[int]]:
    """The steps of each kind of grid for which there is a file."""
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


def _source(folder: Path, name: str, step: int) -> str | None:
    path = folder / f"{name}_{step:07d}.png"
    try:
        with PillowImage.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > _LARGEST:
                return None
            small = picture.convert("RGB")
            small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), PillowImage.Resampling.LANCZOS)
    # Pillow raises whatever the damage leads it to.
    except Exception:  # noqa: BLE001
        return None
    encoded = {"png": _encoded(small, "PNG", optimize=True)}
    encoded["jpeg"] = _encoded(small, "JPEG", quality=85)
    kind = min(encoded, key=lambda one: len(encoded[one]))
    return data_address(encoded[kind], kind)


def _encoded(picture: PillowImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()
