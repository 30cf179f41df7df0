from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from expt.train.state import Best, save_model

# Keras' own, with the NumPy of today.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def make_model() -> Any:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def fill(model: Any, value: float) -> None:
    model.set_weights([np.full(w.shape, value) for w in model.get_weights()])


@pytest.mark.parametrize(
    ("losses", "best_step"),
    [
        ([3.0, 1.0, 2.0], 2),
        ([1.0, 2.0, 3.0], 1),
        ([2.0, 1.0, 1.0], 2),
        ([np.nan, 5.0, np.nan], 2),
        ([4.0, np.nan, -np.inf, 3.0], 4),
        ([np.inf, 7.0], 2),
        ([-1.0, 0.0, -2.0], 3),
    ],
)
def test_it_keeps_the_weights_of_the_lowest_validation_loss(
    losses: list[float], best_step: int
) -> None:
    model = make_model()
    best = Best(model)
    for step, loss in enumerate(losses, start=1):
        fill(model, step)
        best.consider(step, {"val/loss": loss, "val/mae": 10.0 * step})
    fill(model, -1)
    best.restore()
    assert best.step == best_step
    assert best.values == {"val/loss": losses[best_step - 1], "val/mae": 10.0 * best_step}
    assert all((weights == best_step).all() for weights in model.get_weights())


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_never_best(loss: float) -> None:
    best = Best(make_model())
    best.consider(1, {"val/loss": loss})
    assert best.step is None
    assert best.values == {}


def test_it_is_not_changed_by_what_comes_after() -> None:
    best, values = Best(make_model()), {"val/loss": 1.0}
    best.consider(1, values)
    values["val/loss"] = 0.0
    assert best.values == {"val/loss": 1.0}


def test_a_saved_model_gives_the_same_outputs(tmp_path: Path) -> None:
    model, inputs = make_model(), np.ones((3, 2), np.float32)
    save_model(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(inputs).numpy(), model(inputs).numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_save_that_fails_leaves_the_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = tmp_path / "model.keras", make_model()
    save_model(model, path)
    before = path.read_bytes()

    def save_half(target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(model, "save", save_half)
    with pytest.raises(OSError, match="no space"):
        save_model(model, path)
    assert path.read_bytes() == before
