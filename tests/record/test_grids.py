import numpy as np
import pytest

from expt.record import grids
from expt.record.drawn_text import width_of

CELL, TITLE, MARGIN = 112, 18, 6
RED = (205, 20, 20)
NAMES = tuple("0123456789")


def _cell(pixels: grids.Pixels, index: int) -> grids.Pixels:
    row, column = divmod(index, 5)
    left, top = MARGIN + column * (CELL + MARGIN), MARGIN + row * (CELL + TITLE + MARGIN)
    return pixels[top : top + TITLE + CELL, left : left + CELL]


def _frame_is_red(cell: grids.Pixels) -> bool:
    return tuple(cell[TITLE, CELL // 2]) == RED and tuple(cell[-1, CELL // 2]) == RED


def _scores(
    predicted: list[int], confidence: float = 5.0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return (np.eye(10)[predicted] * confidence).astype(np.float32)


def test_only_wrong_predictions_are_marked() -> None:
    targets = np.arange(25, dtype=np.int32) % 10
    predicted = targets.copy()
    predicted[[3, 24]] = [0, 9]
    images = np.full((25, 8, 8, 1), 0.5, np.float32)
    pixels = grids.prediction_grid(images, targets, _scores(predicted.tolist()), NAMES)
    marked = [index for index in range(25) if _frame_is_red(_cell(pixels, index))]
    assert marked == [3, 24]
    # Each image has a title above it, which is red if the prediction is wrong.
    for index in range(25):
        title = _cell(pixels, index)[:TITLE].reshape(-1, 3)
        is_red = (title[:, 0].astype(int) - title[:, 1] > 100).any()
        assert (title < 128).any()
        assert is_red == (index in marked)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_their_place_and_their_values(channels: int) -> None:
    images = np.zeros((2, 8, 8, channels), np.float32)
    images[1, :4] = 1.0
    pixels = grids.image_grid(images, [" ", ""], [False, False])
    first, second = (_cell(pixels, index)[TITLE:] for index in (0, 1))
    assert (first == 0).all()
    assert (second[: CELL // 2] == 255).all()
    assert (second[CELL // 2 :] == 0).all()


def test_worst_mistakes_come_first() -> None:
    targets = np.array([0, 1, 2, 3], np.int32)
    outputs = _scores([0, 0, 0, 0])
    outputs[1, 0], outputs[2, 0], outputs[3, 0] = 2.0, 9.0, 4.0
    assert grids.worst_mistakes(targets, outputs).tolist() == [2, 3, 1]
    images = np.linspace(0, 1, 3, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1))
    pixels = grids.mistake_grid(
        images.astype(np.float32), targets[1:], outputs[1:], NAMES, are_probabilities=False
    )
    grays = [int(_cell(pixels, index)[TITLE + 50, 50, 0]) for index in range(4)]
    assert grays == [0, 127, 255, 255]  # the given order, and white beyond the last image
    assert [_frame_is_red(_cell(pixels, index)) for index in range(4)] == [True, True, True, False]


def test_at_most_25_mistakes_are_drawn_and_equal_ones_keep_their_order() -> None:
    targets, outputs = np.ones(40, np.int32), _scores([0] * 40)
    outputs[::2] = _scores([1])
    outputs[37, 0] = 20.0
    assert grids.worst_mistakes(targets[:30], outputs[:30]).tolist() == list(range(1, 30, 2))
    targets = np.full(40, 2, np.int32)
    assert grids.worst_mistakes(targets, outputs).tolist() == [37, *range(24)]


def test_grid_without_mistakes_has_a_note() -> None:
    targets = np.array([3, 1], np.int32)
    worst = grids.worst_mistakes(targets, _scores([3, 1]))
    assert worst.shape == (0,)
    none = np.zeros((0, 8, 8, 1), np.float32)
    scores = _scores([3, 1])[worst]
    grid = grids.mistake_grid(none, targets[worst], scores, NAMES, are_probabilities=True)
    assert grid.shape == (TITLE + 2 * MARGIN, 5 * (CELL + MARGIN) + MARGIN, 3)
    assert (grid < 128).any()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["b 75% (true a)", "a 80% (true b)"]),
        (["a\n", "two  words"], ["two words 75%\ntrue a", "a 80%\ntrue two words"]),
        (
            ["setosa", "versicolor of the mountains"],
            ["versicolor o… 75%\ntrue setosa", "setosa 80%\ntrue versicolor of the mountains"],
        ),
    ],
)
def test_titles_have_the_value_and_both_names(
    monkeypatch: pytest.MonkeyPatch, names: list[str], expected: list[str]
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(grids, "image_grid", lambda _i, given, _m: titles.extend(given))
    images, targets = np.zeros((2, 2, 2, 1), np.float32), np.array([0, 1], np.int32)
    predictions = np.array([[0.25, 0.75], [0.8, 0.2]], np.float32)
    grids.mistake_grid(images, targets, predictions, names, are_probabilities=True)
    assert titles == expected
    shown = [line.split("%")[0] for line in titles[0].splitlines()]
    assert width_of(f"{shown[0]}%") <= CELL


def test_nan_pixels_are_black() -> None:
    images = np.full((1, 2, 2, 1), np.nan, np.float32)
    assert _gray_at(grids.image_grid(images, [" "], [False]), 0, 0) == 0


def test_mistakes_are_sorted_for_scores_of_any_size() -> None:
    outputs = np.array([[1000, 0, -1000], [1e30, 0, 0]], np.float32)
    assert grids.worst_mistakes(np.array([1, 1], np.int32), outputs).tolist() == [1, 0]


def _gray_at(pixels: grids.Pixels, row: int, column: int) -> int:
    return int(_cell(pixels, 5 * row + column)[TITLE + 50, 50, 0])


@pytest.mark.parametrize("size", [1, 3, 5, 7, 24, 25, 30])
@pytest.mark.parametrize("channels", [1, 3])
def test_reconstructions_are_below_their_inputs(size: int, channels: int) -> None:
    values = np.arange(1, size + 1, dtype=np.float32) / np.float32(64)
    inputs = np.ones((size, 4, 6, channels), np.float32)
    inputs *= values[:, None, None, None]
    pixels = grids.reconstruction_grid(inputs, inputs + np.float32(0.5))
    shown = min(size, 25)
    num_rows = 2 * -(-shown // 5)
    height = num_rows * (CELL + TITLE + MARGIN) + MARGIN
    assert pixels.shape == (height, 5 * (CELL + MARGIN) + MARGIN, 3)
    for index in range(shown):
        row, column = 2 * (index // 5), index % 5
        gray = int(values[index] * 255)
        assert _gray_at(pixels, row, column) == gray
        assert _gray_at(pixels, row + 1, column) == int((values[index] + 0.5) * 255)
    # Unused cells of the last rows are white.
    for index in range(shown, 5 * (num_rows // 2)):
        row, column = 2 * (index // 5), index % 5
        assert (_cell(pixels, 5 * row + column) == 255).all()
        assert (_cell(pixels, 5 * row + 5 + column) == 255).all()


def test_title_of_a_reconstruction_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(grids, "image_grid", lambda _i, given, _m: titles.extend(given))
    inputs = np.zeros((6, 2, 2, 1), np.float32)
    outputs = inputs.copy()
    outputs[1, 0, 0] = 1.0
    outputs[5] = 0.25
    grids.reconstruction_grid(inputs, outputs)
    assert titles[:5] == ["input"] * 5
    assert titles[5:10] == ["rmse 0.000", "rmse 0.500", *["rmse 0.000"] * 3]
    assert titles[10:] == ["input", *[""] * 4, "rmse 0.250", *[""] * 4]


@pytest.mark.parametrize(("size", "num_rows"), [(1, 1), (5, 1), (6, 2), (25, 5), (26, 6)])
@pytest.mark.parametrize(("title", "num_lines"), [("", 0), ("one", 1), ("one\ntwo", 2)])
def test_grid_has_as_many_rows_and_lines_as_needed(
    size: int, num_rows: int, title: str, num_lines: int
) -> None:
    images = np.zeros((size, 3, 4, 1), np.float32)
    pixels = grids.image_grid(images, [title, *[""] * (size - 1)], [False] * size)
    height = num_rows * (CELL + num_lines * TITLE + MARGIN) + MARGIN
    assert pixels.shape == (height, 5 * (CELL + MARGIN) + MARGIN, 3)
    assert pixels.dtype == np.uint8


def test_values_out_of_range_are_black_and_white() -> None:
    images = np.array([-3.0, 7.0], np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1))
    pixels = grids.image_grid(images.astype(np.float32), [" "] * 2, [False] * 2)
    assert [_gray_at(pixels, 0, column) for column in (0, 1)] == [0, 255]


def test_cells_of_a_confusion_matrix_are_shaded_by_count() -> None:
    targets = np.array([0, 0, 1, 1], np.int32)
    outputs = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    pixels = grids.confusion_matrix(targets, outputs, ["no", "yes"])
    cell, left, top = 40, 80, 40

    def corner(row: int, column: int) -> tuple[int, ...]:
        return tuple(int(v) for v in pixels[top + row * cell + 3, left + column * cell + 3])

    assert corner(1, 0) == (255, 255, 255)
    assert corner(1, 1) == (31, 119, 180)
    assert corner(0, 0)[2] > corner(0, 0)[0]  # bluish
    assert corner(0, 1)[0] > corner(0, 1)[2]  # reddish


def test_confusion_matrix_of_many_classes_has_no_labels() -> None:
    targets = np.arange(100, dtype=np.int32)
    pixels = grids.confusion_matrix(targets, np.eye(100, dtype=np.float32), [""] * 100)
    assert max(pixels.shape) < 1000


def _is_text(pixels: grids.Pixels) -> bool:
    return bool((pixels.max(axis=-1) < 100).any())


def test_labels_of_a_confusion_matrix_fit() -> None:
    """Long names are vertical above their columns, and counts are within their cells."""
    names = ["setosa", "versicolor", "virginica"]
    targets = np.zeros(3, np.int32)
    pixels = grids.confusion_matrix(targets, np.eye(3, dtype=np.float32), names)
    widest = round(width_of("versicolor"))
    left = top = widest + 2 * TITLE
    assert pixels.shape == (top + 121, max(80, left) + 121, 3)
    left = max(80, left)
    for column in range(3):
        above = pixels[top - 4 - 40 : top, left + 40 * column : left + 40 * (column + 1)]
        assert _is_text(above)
        assert not _is_text(above[:, :8])
        assert not _is_text(above[:, -8:])
    assert not _is_text(pixels[:, :20])


def test_cells_grow_with_the_counts() -> None:
    targets = np.zeros(1_000_000, np.int32)
    outputs = np.broadcast_to(np.array([1, 0], np.float32), (1_000_000, 2))
    pixels = grids.confusion_matrix(targets, outputs, ["a", "b"])
    assert pixels.shape[1] == 80 + 2 * (round(width_of("1000000")) + 8) + 1
