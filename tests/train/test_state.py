from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts.losses import mse
from expt.train.input.batch import Batch
from expt.train.state import averages_in_place, save_model
from expt.train.step import make_train_step

MOMENTUM = 0.8
RANDOM = np.random.default_rng(0)
BATCH = Batch(
    tf.constant(RANDOM.standard_normal((8, 2)), tf.float32),
    tf.constant(RANDOM.standard_normal((8, 1)), tf.float32),
)


def make_model() -> Any:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_saved_model_has_the_same_outputs(tmp_path: Path) -> None:
    model, inputs = make_model(), np.ones((3, 2), np.float32)
    save_model(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(inputs).numpy(), model(inputs).numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_failed_save_keeps_the_previous_file(
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


def averaging(**options: Any) -> Any:
    return keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=MOMENTUM, **options)


def scaled(optimizer: Any, initial_scale: float = 1024.0) -> Any:
    return keras.optimizers.LossScaleOptimizer(
        optimizer, initial_scale=initial_scale, dynamic_growth_steps=3
    )


def train(model: Any, optimizer: Any) -> Callable[[], list[Any]]:
    """Builds the optimizer; returns a function that trains a step and returns the weights."""
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, mse, optimizer, {})

    def train_on() -> list[Any]:
        step(BATCH)
        return [variable.numpy() for variable in model.trainable_variables]

    return train_on


@pytest.mark.parametrize("under_a_loss_scale", [False, True])
def test_averages_equal_numpy_and_trained_weights_are_restored(under_a_loss_scale: bool) -> None:
    model, optimizer = make_model(), averaging()
    outer = scaled(optimizer) if under_a_loss_scale else optimizer
    train_on = train(model, outer)
    expected: list[Any] = []
    for _ in range(7):
        trained = train_on()
        # The average starts with the weights after the first update.
        expected = [
            MOMENTUM * average + (1 - MOMENTUM) * weights
            for average, weights in zip(expected or trained, trained, strict=True)
        ]
        with averages_in_place([model], [outer]):
            found = [variable.numpy() for variable in model.trainable_variables]
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        for variable, weights in zip(model.trainable_variables, trained, strict=True):
            np.testing.assert_array_equal(variable.numpy(), weights)
    assert not np.allclose(expected[0], trained[0], rtol=1e-3)


def test_weights_are_not_replaced_without_averages() -> None:
    model, optimizer = make_model(), keras.optimizers.Adam(0.1)
    trained = train(model, optimizer)()
    with averages_in_place([model], [optimizer]):
        for variable, weights in zip(model.trainable_variables, trained, strict=True):
            np.testing.assert_array_equal(variable.numpy(), weights)


def test_trained_weights_are_restored_after_an_exception() -> None:
    model, optimizer = make_model(), averaging()
    train_on = train(model, optimizer)
    train_on()
    trained = train_on()
    with pytest.raises(KeyboardInterrupt), averages_in_place([model], [optimizer]):
        raise KeyboardInterrupt
    for variable, weights in zip(model.trainable_variables, trained, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weights)


def test_each_network_has_separate_averages() -> None:
    networks = [make_model(), make_model(), make_model()]
    optimizers = [averaging(), keras.optimizers.Adam(0.1), averaging()]
    trained = []
    for network, optimizer in zip(networks, optimizers, strict=True):
        train_on = train(network, optimizer)
        train_on()
        trained.append(train_on())
    with averages_in_place(networks, optimizers):
        changed = [
            not np.array_equal(network.trainable_variables[0].numpy(), weights[0])
            for network, weights in zip(networks, trained, strict=True)
        ]
    # The second optimizer keeps no averages.
    assert changed == [True, False, True]


def test_frozen_weights_and_statistics_are_not_replaced() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, trainable=False),
            layers.BatchNormalization(),
            layers.Dense(1),
        ]
    )
    optimizer = averaging()
    train_on = train(model, optimizer)
    train_on()
    train_on()
    before = [variable.numpy() for variable in model.non_trainable_variables]
    with averages_in_place([model], [optimizer]):
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)


def test_weights_are_not_replaced_before_the_first_update() -> None:
    """With loss scaling, the first updates are often skipped because gradients overflow."""
    model, optimizer = make_model(), averaging()
    # An infinite scale makes the first gradients overflow.
    outer = scaled(optimizer, initial_scale=float("inf"))
    trained = train(model, outer)()
    assert int(optimizer.iterations) == 0
    with averages_in_place([model], [outer]):
        for variable, weights in zip(model.trainable_variables, trained, strict=True):
            np.testing.assert_array_equal(variable.numpy(), weights)
