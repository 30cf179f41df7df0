"""Pictures of what a model predicts, drawn with NumPy and Pillow, which take milliseconds."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
"""A picture: uint8, shape [height, width, 3]."""

_SIDE = 5
_CELL = 112
_TITLE = 18
_MARGIN = 6
_BLACK, _GRAY, _RED, _BLUE = (20, 20, 20), (150, 150, 150), (205, 20, 20), (31, 119, 180)


def prediction_grid(
    images: NDArray[np.floating[Any]],
    targets: NDArray[np.int32],
    predictions: NDArray[np.floating[Any]],
    class_names: Sequence[str],
) -> Pixels:
    """Draws images with their classes as titles, wrong predictions in red.

    Args:
        images: Pixels from 0 to 1, shape [examples, height, width, channels].
        targets: Class numbers, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].
        class_names: By class number.
    """
    predicted = predictions.argmax(axis=-1)
    titles = [
        f"{class_names[p]} (true {class_names[t]})" for p, t in zip(predicted, targets, strict=True)
    ]
    return image_grid(images, titles, (predicted != targets).tolist())


def worst_mistakes(
    targets: NDArray[np.int32], predictions: NDArray[np.floating[Any]]
) -> NDArray[np.intp]:
    """Returns which 25 mistakes are the worst: the true class furthest below the predicted first.

    Args:
        targets: Class numbers, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].
    """
    margins = predictions[np.arange(len(targets)), targets] - predictions.max(axis=-1)
    wrong = np.flatnonzero(predictions.argmax(axis=-1) != targets)
    return wrong[np.argsort(margins[wrong], kind="stable")][: _SIDE * _SIDE]


def mistake_grid(
    images: NDArray[np.floating[Any]],
    targets: NDArray[np.int32],
    predictions: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    *,
    are_probabilities: bool,
) -> Pixels:
    """Draws mistakes with the probability or score of the predicted class.

    Args:
        images: Those of the mistakes alone, as in `prediction_grid`.
        targets: As in `prediction_grid`.
        predictions: As in `prediction_grid`.
        class_names: As in `prediction_grid`.
        are_probabilities: Whether to write predictions as percentages.
    """
    predicted, form = predictions.argmax(axis=-1), ".0%" if are_probabilities else ".3g"
    titles = [
        f"{class_names[p]} {value:{form}} (true {class_names[t]})"
        for p, t, value in zip(predicted, targets, predictions.max(axis=-1), strict=True)
    ]
    return image_grid(images, titles, [True] * len(images))


def reconstruction_grid(
    inputs: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
) -> Pixels:
    """Draws the first 25 images in rows of five, below each row its reconstructions.

    The titles of the reconstructions give their root mean squared error.

    Args:
        inputs: Pixels from 0 to 1, shape [examples, height, width, channels].
        outputs: What was made of them, the same shape.
    """
    images: list[NDArray[np.floating[Any]]] = []
    titles: list[str] = []
    for start in range(0, min(len(inputs), _SIDE * _SIDE), _SIDE):
        row = slice(start, start + _SIDE)
        errors = np.sqrt(np.square(inputs[row] - outputs[row]).mean(axis=(1, 2, 3)))
        blanks = [np.ones_like(inputs[0])] * (_SIDE - len(errors))
        images += [*inputs[row], *blanks, *outputs[row], *blanks]
        titles += ["input"] * len(errors) + [""] * len(blanks)
        titles += [f"rmse {error:.3f}" for error in errors] + [""] * len(blanks)
    return image_grid(np.stack(images), titles, [False] * len(images))


def image_grid(
    images: NDArray[np.floating[Any]], titles: Sequence[str], marked: Sequence[bool]
) -> Pixels:
    """Draws images, five a row, with titles; those of marked ones are red and framed.

    There are five rows at least, so that the grids of a run have one size.

    Args:
        images: Values from 0 to 1, shape [examples, height, width, 1 or 3].
        titles: One for each image.
        marked: One for each image.
    """
    width, height = _CELL + _MARGIN, _CELL + _TITLE + _MARGIN
    num_rows = max(_SIDE, -(-len(images) // _SIDE))
    canvas = Image.new("RGB", (_SIDE * width + _MARGIN, num_rows * height + _MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (image, title, mark) in enumerate(zip(images, titles, marked, strict=True)):
        row, column = divmod(index, _SIDE)
        left, top = _MARGIN + column * width, _MARGIN + row * height
        color = _RED if mark else _BLACK
        draw.text((left, top), _fitted(title, _CELL), fill=color, font=_font())
        canvas.paste(_scaled(image), (left, top + _TITLE))
        if mark:
            corner = (left + _CELL - 1, top + _TITLE + _CELL - 1)
            draw.rectangle(((left, top + _TITLE), corner), outline=_RED, width=2)
    return np.asarray(canvas)


def confusion_matrix(
    targets: NDArray[np.int32], predictions: NDArray[np.floating[Any]], class_names: Sequence[str]
) -> Pixels:
    """Draws how often each class (row) was taken for each (column), shaded by the row's share.

    Args:
        targets: Class numbers, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].
        class_names: By class number.
    """
    num_classes = len(class_names)
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (targets, predictions.argmax(axis=-1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labelled = num_classes <= 20
    cell, left, top = (40, 80, 40) if labelled else (max(2, 800 // num_classes), 20, 20)
    size = (left + num_classes * cell + 1, top + num_classes * cell + 1)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    # White to blue for what is right, white to red for what is not.
    ends = np.where(np.eye(num_classes, dtype=bool)[..., None], _BLUE, _RED)
    colors = (255 + np.sqrt(shares)[..., None] * (ends - 255)).astype(np.uint8)
    squares = Image.fromarray(colors).resize(
        (num_classes * cell, num_classes * cell), Image.Resampling.NEAREST
    )
    canvas.paste(squares, (left, top))
    if labelled:
        _label_matrix(draw, counts, shares, class_names, (cell, left, top))
    return np.asarray(canvas)


def _label_matrix(
    draw: ImageDraw.ImageDraw,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    class_names: Sequence[str],
    layout: tuple[int, int, int],
) -> None:
    cell, left, top = layout
    draw.text((left, 2), "predicted", fill=_GRAY, font=_font())
    draw.text((4, top), "true", fill=_GRAY, font=_font())
    for index, name in enumerate(class_names):
        middle = (index + 0.5) * cell
        across, down = _fitted(name, cell - 2), _fitted(name, left - 8)
        draw.text((left + middle, top - 4), across, fill=_BLACK, font=_font(), anchor="ms")
        draw.text((left - 6, top + middle), down, fill=_BLACK, font=_font(), anchor="rm")
    for row, column in zip(*np.nonzero(counts), strict=True):
        place = (left + (column + 0.5) * cell, top + (row + 0.5) * cell)
        color = "white" if shares[row, column] > 0.3 else _BLACK
        draw.text(place, str(counts[row, column]), fill=color, font=_font(), anchor="mm")


def predicted_against_true(
    targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
) -> Pixels:
    """Draws predictions (up) against true values (right); on the line they are equal.

    Args:
        targets: Shape [examples, values].
        outputs: Shape [examples, values].
    """
    size, left, top = 400, 60, 12
    finite = np.isfinite(outputs)
    true, predicted = targets[finite], outputs[finite]
    low = float(min(true.min(initial=0.0), predicted.min(initial=0.0)))
    high = float(max(true.max(initial=1e-6), predicted.max(initial=1e-6)))
    span = (high - low) * 1.05 or 1.0
    canvas = Image.new("RGB", (left + size + 12, top + size + 44), "white")
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left, top, left + size, top + size), outline=_GRAY)
    draw.line((left, top + size, left + size, top), fill=_GRAY)
    for value in np.linspace(low, low + span, 6):
        at = (value - low) / span * size
        draw.text(
            (left + at, top + size + 4), f"{value:.3g}", fill=_BLACK, font=_font(), anchor="mt"
        )
        draw.text(
            (left - 4, top + size - at), f"{value:.3g}", fill=_BLACK, font=_font(), anchor="rm"
        )
    draw.text((left + size / 2, top + size + 26), "true", fill=_BLACK, font=_font(), anchor="mt")
    draw.text((2, 0), "predicted", fill=_BLACK, font=_font())
    for x, y in zip((true - low) / span * size, (predicted - low) / span * size, strict=True):
        draw.circle((left + x, top + size - y), 3, fill=_BLUE)
    return np.asarray(canvas)


def _scaled(image: NDArray[np.floating[Any]]) -> Image.Image:
    pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return picture.resize((_CELL, _CELL), Image.Resampling.NEAREST).convert("RGB")


def _fitted(text: str, width: float) -> str:
    """Shortens a text until it is no wider than `width` pixels."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=13)
