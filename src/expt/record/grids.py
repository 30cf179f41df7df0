"""Images of a model's predictions, drawn with NumPy and Pillow.

A grid takes a few milliseconds; matplotlib takes several hundred for 25 subplots.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from expt.record.drawn_text import (
    BLACK,
    BLUE,
    GRAY,
    RED,
    fitted,
    font,
    one_line,
    upright,
    width_of,
)

Pixels = NDArray[np.uint8]
"""The pixels of an image: uint8, shape [height, width, 3]."""

_SIDE = 5  # images per row, and rows at most
_CELL = 112  # pixels: the side of an image
_LINE = 18  # pixels: the height of a line of text
_MARGIN = 6  # pixels between images
_LARGEST_LABEL = 160  # pixels of the name of a class beside a confusion matrix


def prediction_grid(
    images: NDArray[np.floating[Any]],
    targets: NDArray[np.int32],
    predictions: NDArray[np.floating[Any]],
    class_names: Sequence[str],
) -> Pixels:
    """Draws images with their predicted classes as titles, wrong ones in red.

    Args:
        images: Pixels from 0 to 1, shape [examples, height, width, channels].
        targets: Labels, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].
        class_names: The name of each class, in the order of the labels.
    """
    predicted = predictions.argmax(axis=-1)
    titles = _titles(predicted, [""] * len(predicted), targets, class_names)
    return image_grid(images, titles, (predicted != targets).tolist())


def worst_mistakes(
    targets: NDArray[np.int32], predictions: NDArray[np.floating[Any]]
) -> NDArray[np.intp]:
    """Returns the indices of the 25 worst mistakes, the worst first.

    A mistake is the worse, the further the score of the true class is below that of the predicted
    class.

    Args:
        targets: Labels, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].

    Returns:
        Shape [mistakes], with at most 25 of them.
    """
    margins = predictions[np.arange(len(targets)), targets] - predictions.max(axis=-1)
    wrong = np.flatnonzero(predictions.argmax(axis=-1) != targets)
    # A stable sort, so that equal mistakes keep their order and the image is the same every time.
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
        images: The images of the mistakes only, else as in `prediction_grid`.
        targets: As in `prediction_grid`.
        predictions: As in `prediction_grid`.
        class_names: As in `prediction_grid`.
        are_probabilities: Whether to format predictions as percentages.
    """
    predicted, form = predictions.argmax(axis=-1), ".0%" if are_probabilities else ".3g"
    if not len(images):
        return _note("no mistakes")
    values = [f" {value:{form}}" for value in predictions.max(axis=-1)]
    titles = _titles(predicted, values, targets, class_names)
    return image_grid(images, titles, [True] * len(images))


def _titles(
    predicted: NDArray[np.intp],
    values: Sequence[str],
    targets: NDArray[np.int32],
    class_names: Sequence[str],
) -> list[str]:
    """Returns titles with the predicted and the true class: in one line if all fit, else in two.

    The names are shortened if they are too long, but not the values.
    """
    names = [one_line(name) for name in class_names]
    pairs = [
        (names[p], value, names[t]) for p, value, t in zip(predicted, values, targets, strict=True)
    ]
    # If one title is too long for a line, all titles of the grid have two.
    short = [f"{name}{value} (true {true})" for name, value, true in pairs]
    if all(width_of(title) <= _CELL for title in short):
        return short
    return [
        f"{fitted(name, _CELL - width_of(value))}{value}\ntrue {true}"
        for name, value, true in pairs
    ]


def _note(text: str) -> Pixels:
    """Draws a text, as wide as a grid, in place of a grid without images."""
    canvas = Image.new("RGB", (_SIDE * (_CELL + _MARGIN) + _MARGIN, _LINE + 2 * _MARGIN), "white")
    ImageDraw.Draw(canvas).text((_MARGIN, _MARGIN), text, fill=BLACK, font=font())
    return np.asarray(canvas)


def reconstruction_grid(
    inputs: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
) -> Pixels:
    """Draws the first 25 inputs in rows of five, each above a row of their reconstructions.

    The title of a reconstruction is its root mean squared error, sqrt(mean((x - y)²)) over pixels
    and channels.

    Args:
        inputs: Pixels from 0 to 1, shape [examples, height, width, channels].
        outputs: The reconstructions, the same shape.
    """
    images: list[NDArray[np.floating[Any]]] = []
    titles: list[str] = []
    for start in range(0, min(len(inputs), _SIDE * _SIDE), _SIDE):
        row = slice(start, start + _SIDE)
        errors = np.sqrt(np.square(inputs[row] - outputs[row]).mean(axis=(1, 2, 3)))
        # White images fill the last row, so that reconstructions are below their inputs.
        blanks = [np.ones_like(inputs[0])] * (_SIDE - len(errors))
        images += [*inputs[row], *blanks, *outputs[row], *blanks]
        titles += ["input"] * len(errors) + [""] * len(blanks)
        titles += [f"rmse {error:.3f}" for error in errors] + [""] * len(blanks)
    return image_grid(np.stack(images), titles, [False] * len(images))


def image_grid(
    images: NDArray[np.floating[Any]], titles: Sequence[str], marked: Sequence[bool]
) -> Pixels:
    """Draws images with titles, five per row.

    Args:
        images: Pixels from 0 to 1, shape [examples, height, width, 1 or 3]; at least one image.
        titles: The title of each image, with any number of lines. If all are empty, they take up
            no space.
        marked: Whether each image has a red title and a red frame.
    """
    above = _LINE * max(len(title.splitlines()) for title in titles)
    width, height = _CELL + _MARGIN, above + _CELL + _MARGIN
    num_rows = -(-len(images) // _SIDE)
    canvas = Image.new("RGB", (_SIDE * width + _MARGIN, num_rows * height + _MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (image, title, mark) in enumerate(zip(images, titles, marked, strict=True)):
        row, column = divmod(index, _SIDE)
        left, top = _MARGIN + column * width, _MARGIN + row * height
        color = RED if mark else BLACK
        for number, line in enumerate(title.splitlines()):
            place = (left, top + number * _LINE)
            draw.text(place, fitted(line, _CELL), fill=color, font=font())
        canvas.paste(_scaled(image), (left, top + above))
        if mark:
            corner = (left + _CELL - 1, top + above + _CELL - 1)
            draw.rectangle(((left, top + above), corner), outline=RED, width=2)
    return np.asarray(canvas)


def confusion_matrix(
    targets: NDArray[np.int32], predictions: NDArray[np.floating[Any]], class_names: Sequence[str]
) -> Pixels:
    """Draws the confusion matrix: the number of examples of each true and predicted class.

    Rows are true classes, columns predicted ones. A cell is shaded by its share of the row.

    Args:
        targets: Labels, shape [examples].
        predictions: Probabilities or scores, shape [examples, classes].
        class_names: The name of each class, in the order of the labels. Beyond 20 classes, neither
            names nor counts are drawn.
    """
    num_classes = len(class_names)
    counts = np.zeros((num_classes, num_classes), np.int64)
    # Not `counts[...] += 1`, which adds only once per cell.
    np.add.at(counts, (targets, predictions.argmax(axis=-1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [one_line(name) for name in class_names] if num_classes <= 20 else []
    cell, left, top = _matrix_layout(counts, labels)
    size = (left + num_classes * cell + 1, top + num_classes * cell + 1)
    canvas = Image.new("RGB", size, "white")
    # From white to blue on the diagonal, to red elsewhere. The square root makes rare mistakes
    # visible.
    ends = np.where(np.eye(num_classes, dtype=bool)[..., None], BLUE, RED)
    colors = (255 + np.sqrt(shares)[..., None] * (ends - 255)).astype(np.uint8)
    squares = Image.fromarray(colors).resize(
        (num_classes * cell, num_classes * cell), Image.Resampling.NEAREST
    )
    canvas.paste(squares, (left, top))
    if labels:
        _label_matrix(canvas, counts, shares, labels, (cell, left, top))
    return np.asarray(canvas)


def _matrix_layout(counts: NDArray[np.int64], labels: Sequence[str]) -> tuple[int, int, int]:
    """Returns, in pixels, the side of a cell and the margins for labels at the left and the top."""
    if not labels:
        return max(2, 800 // len(counts)), 20, 20
    cell = max(40, round(width_of(str(counts.max()))) + 8)
    widest = min(max(map(width_of, labels)), _LARGEST_LABEL)
    left = max(80, round(widest) + 2 * _LINE)
    return cell, left, 40 if _fit_across(labels, cell) else round(widest) + 2 * _LINE


def _fit_across(labels: Sequence[str], cell: int) -> bool:
    """Whether all labels are narrow enough to be written horizontally above their columns."""
    return all(width_of(label) <= cell - 2 for label in labels)


def _label_matrix(
    canvas: Image.Image,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    labels: Sequence[str],
    layout: tuple[int, int, int],
) -> None:
    draw, (cell, left, top) = ImageDraw.Draw(canvas), layout
    draw.text((left, 2), "predicted", fill=GRAY, font=font())
    true_label = upright("true", GRAY)
    canvas.paste(true_label, (2, top + 4))
    for index, label in enumerate(labels):
        middle, name = round((index + 0.5) * cell), fitted(label, _LARGEST_LABEL)
        draw.text((left - 6, top + middle), name, fill=BLACK, font=font(), anchor="rm")
        if _fit_across(labels, cell):
            draw.text((left + middle, top - 4), name, fill=BLACK, font=font(), anchor="ms")
        else:
            column = upright(name, BLACK)
            place = (left + middle - column.width // 2, top - 4 - column.height)
            canvas.paste(column, place)
    # Zeros are not written: most cells of a good model are zero.
    for row, column in zip(*np.nonzero(counts), strict=True):
        place = (left + (column + 0.5) * cell, top + (row + 0.5) * cell)
        color = "white" if shares[row, column] > 0.3 else BLACK
        draw.text(place, str(counts[row, column]), fill=color, font=font(), anchor="mm")


def _scaled(image: NDArray[np.floating[Any]]) -> Image.Image:
    # A model may reconstruct NaN or values beyond the range, which uint8 can't hold.
    pixels = (np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    unscaled = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return unscaled.resize((_CELL, _CELL), Image.Resampling.NEAREST).convert("RGB")
