import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.record import scatter
from expt.record.drawn_text import width_of
from expt.record.scatter import predicted_against_true

BLUE = (31, 119, 180)


def _dots(pixels: np.ndarray) -> np.ndarray:
    """Returns the rows and columns of all blue pixels."""
    return np.argwhere((pixels == BLUE).all(axis=-1))


def _frame(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """Returns top, bottom, left and right of a single panel, found by its long gray lines."""
    gray = (pixels == 150).all(axis=-1)
    rows, columns = np.flatnonzero(gray.sum(axis=1) > 200), np.flatnonzero(gray.sum(axis=0) > 200)
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (-3.6e6, -3.2e6), (1e-8, 2e-7), (1e9, 1e9 + 1)])
def test_perfect_predictions_are_on_the_line_and_fill_the_panel(low: float, high: float) -> None:
    """For any range of values, with or without zero."""
    targets = np.linspace(low, high, 40)[:, None]
    pixels = predicted_against_true(targets, targets)
    top, bottom, left, right = _frame(pixels)
    dots = _dots(pixels)
    assert np.abs((dots[:, 1] - left) - (bottom - dots[:, 0])).max() <= 8
    for begin, end, values in ((top, bottom, dots[:, 0]), (left, right, dots[:, 1])):
        assert end - begin == 400
        assert 10 < values.min() - begin < 25
        assert 10 < end - values.max() < 25


def test_point_is_at_its_value() -> None:
    targets, outputs = np.array([[0.0], [10.0]]), np.array([[10.0], [0.0]])
    pixels = predicted_against_true(targets, outputs)
    top, bottom, left, right = _frame(pixels)
    inset = 400 * 0.5 / 11  # 5 % of the range of values on either side
    expected = {(round(top + inset), round(left + inset))}
    expected |= {(round(bottom - inset), round(right - inset))}
    assert {tuple(dot) for dot in _dots(pixels)} >= expected


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        ([5.0], [5.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([-1e30], [1e30]),
        ([1.0], [float("nan")]),
        ([1e-300], [2e-300]),
    ],
)
def test_every_range_can_be_drawn(targets: list[float], outputs: list[float]) -> None:
    true, predicted = (np.array(values)[:, None] for values in (targets, outputs))
    assert (predicted_against_true(true, predicted) < 255).any()


@given(
    low=st.floats(-1e12, 1e12),
    span=st.floats(1e-6, 1e12),
    size=st.sampled_from([200, 300, 400]),
)
@settings(max_examples=60, deadline=None)
def test_ticks_are_within_the_range_and_distinct(low: float, span: float, size: int) -> None:
    high = low + max(span, abs(low) * 1e-9)
    ticks, labels = scatter._ticks(low, high, size)
    assert 1 <= len(ticks) == len(labels) == len(set(labels)) <= 7
    slack = (high - low) * 1e-6
    assert low - slack <= ticks.min()
    assert ticks.max() <= high + slack
    step = np.diff(ticks).max(initial=high - low)
    for tick, label in zip(ticks, labels, strict=True):
        assert abs(float(label.replace(",", "")) - tick) <= step * 0.01


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 300, ["0", "50", "100", "150", "200", "250", "300"]),
        (-3.65e6, -3.2e6, [f"-3,{n}00,000" for n in (6, 5, 4, 3, 2)]),
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 2e-7, ["0", "5e-8", "1.0e-7", "1.5e-7", "2.0e-7"]),
    ],
)
def test_labels_have_the_necessary_digits(low: float, high: float, expected: list[str]) -> None:
    assert scatter._ticks(low, high, 400)[1] == expected


def test_labels_are_not_cut_off() -> None:
    """The first and the last columns of pixels are white even if the numbers are long."""
    targets = np.linspace(-3.6e6, -3.2e6, 9)[:, None]
    pixels = predicted_against_true(targets, targets)
    assert (pixels[:, :2] == 255).all()
    assert (pixels[:, -2:] == 255).all()
    assert _frame(pixels)[2] >= width_of("-3,600,000") + 18


def test_each_target_has_a_separate_panel_and_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[float], str, int]] = []
    panel = scatter._panel

    def record_panel(true: np.ndarray, predicted: np.ndarray, title: str, size: int) -> np.ndarray:
        drawn.append((true.tolist(), title, size))
        return panel(true, predicted, title, size)

    monkeypatch.setattr(scatter, "_panel", record_panel)
    targets = np.array([[1.0, 1000.0, 0.001], [2.0, 3000.0, 0.004]])
    pixels = predicted_against_true(targets, targets)
    assert drawn == [
        ([1.0, 2.0], "value 0", 300),
        ([1000.0, 3000.0], "value 1", 300),
        ([0.001, 0.004], "value 2", 300),
    ]
    assert pixels.shape[0] > 600
    assert pixels.shape[1] > 600
    drawn.clear()
    predicted_against_true(targets[:, :2], targets[:, :2], ["petal\nlength", "width"])
    assert [title for _, title, _ in drawn] == ["petal length", "width"]


def test_title_of_a_single_target_is_its_name() -> None:
    targets = np.linspace(0, 1, 5)[:, None]
    nameless = predicted_against_true(targets, targets)
    named = predicted_against_true(targets, targets, ["price"])
    assert (nameless[:20, 60:] == 255).all()
    assert (named[:20, 60:].max(axis=-1) < 100).any()


def test_at_most_25_targets_are_drawn() -> None:
    targets = np.random.default_rng(0).normal(size=(4, 30))
    pixels = predicted_against_true(targets, targets)
    assert 5 * 200 < pixels.shape[0] < 5 * 280


def test_values_that_are_not_finite_are_counted_instead_of_drawn() -> None:
    outputs = np.array([[np.nan], [np.inf], [1.0]], np.float32)
    pixels = predicted_against_true(np.ones((3, 1), np.float32), outputs)
    only_finite = predicted_against_true(np.ones((1, 1), np.float32), outputs[2:])
    np.testing.assert_array_equal(_dots(pixels), _dots(only_finite))
    assert (pixels != only_finite).any()
