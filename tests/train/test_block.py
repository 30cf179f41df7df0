from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.parts.losses import crossentropy
from expt.parts.metrics import accuracy
from expt.parts.models.dense import mlp
from expt.train.block import RunBlock, make_run_block
from expt.train.order import batch_indices
from expt.train.step import make_train_step

CAPACITY, BATCH_SIZE, NUM_EXAMPLES = 16, 8, 50
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.standard_normal((NUM_EXAMPLES, 4)).astype(np.float32)
TARGETS = RANDOM.integers(0, 3, NUM_EXAMPLES).astype(np.int32)
MODES = ["eager", "graph", "xla"]


class Training:
    """A small classifier in training; counts how often Python runs its step."""

    def __init__(self, mode: str, dropout: float = 0.0, inputs: Any = INPUTS) -> None:
        keras.utils.set_random_seed(1)
        self.model = mlp(
            (4,), 3, partial(keras.layers.Activation, "tanh"), units=(16,), dropout=dropout
        )
        self.optimizer = keras.optimizers.Adam(0.01)
        self.optimizer.build(self.model.trainable_variables)
        step = make_train_step(self.model, crossentropy, self.optimizer, {"accuracy": accuracy})
        self.executions = 0

        def counted(inputs: Any, targets: Any) -> dict[str, Any]:
            self.executions += 1
            return step(inputs, targets)

        split = Split(inputs, TARGETS)
        self.run: RunBlock = make_run_block(counted, split, BATCH_SIZE, CAPACITY, mode)

    def run_blocks(self, lengths: Sequence[int]) -> dict[str, NDArray[np.float32]]:
        first, blocks = 0, []
        for length in lengths:
            blocks.append(self.run(batch_indices(0, first, length, NUM_EXAMPLES, BATCH_SIZE)))
            first += length
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    def state(self) -> list[NDArray[Any]]:
        """Weights, random states and the optimizer's variables."""
        return [v.numpy() for v in (*self.model.variables, *self.optimizer.variables)]


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_compiled_blocks_give_the_numbers_of_plain_python(mode: str) -> None:
    plain, compiled = Training("eager"), Training(mode)
    expected, found = plain.run_blocks([10, 3]), compiled.run_blocks([10, 3])
    assert list(found) == list(expected) == ["loss", "accuracy", "grad_norm", "learning_rate"]
    for name, column in expected.items():
        assert column.shape == (13,)
        np.testing.assert_allclose(found[name], column, rtol=1e-4, atol=1e-5)
    for one, other in zip(compiled.state(), plain.state(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_short_blocks_give_the_bits_of_a_long_one(dropout: float) -> None:
    whole = Training("graph", dropout)
    expected = whole.run_blocks([CAPACITY])
    for lengths in ([1] * CAPACITY, [5, 8, 3]):
        cut = Training("graph", dropout)
        found = cut.run_blocks(lengths)
        for name, column in expected.items():
            np.testing.assert_array_equal(found[name], column)
        for one, other in zip(cut.state(), whole.state(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_dropout_draws_anew_at_every_step() -> None:
    """The same batch at a learning rate of nothing: only dropout differs."""
    training = Training("graph", dropout=0.5)
    training.optimizer.learning_rate = 0.0
    losses = training.run(np.tile(np.arange(BATCH_SIZE, dtype=np.int32), (6, 1)))["loss"]
    assert len(set(losses.tolist())) == 6


@pytest.mark.parametrize("mode", MODES)
def test_it_ends_at_the_step_whose_loss_is_not_finite(mode: str) -> None:
    inputs = INPUTS.copy()
    inputs[-1] = np.nan
    training = Training(mode, inputs=inputs)
    indices = np.zeros((7, BATCH_SIZE), np.int32)
    indices[3, -1] = NUM_EXAMPLES - 1
    loss = training.run(indices)["loss"]
    assert np.isfinite(loss).tolist() == [True, True, True, False]
    assert int(training.optimizer.iterations) == 4


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_it_is_traced_once_and_before_the_first_step(mode: str) -> None:
    training, untrained = Training(mode), Training("eager")
    traced = training.executions
    assert traced >= 1
    # Tracing itself trained nothing.
    for one, other in zip(training.state(), untrained.state(), strict=True):
        np.testing.assert_array_equal(one, other)
    for length in (1, 7, CAPACITY, 2):
        training.run_blocks([length])
    assert training.executions == traced
    assert int(training.optimizer.iterations) == 1 + 7 + CAPACITY + 2


def test_each_step_sees_the_rows_of_its_indices() -> None:
    split = Split(np.arange(10, dtype=np.float32)[:, None], np.arange(10, dtype=np.int32))

    def step(inputs: Any, targets: Any) -> dict[str, Any]:
        return {"loss": keras.ops.sum(inputs), "targets": keras.ops.sum(targets)}

    indices = np.array([[0, 1], [9, 9], [4, 2]], np.int32)
    for mode in MODES:
        rows = make_run_block(step, split, 2, CAPACITY, mode)(indices)
        assert rows["loss"].tolist() == [1.0, 18.0, 6.0]
        assert rows["targets"].tolist() == [1.0, 18.0, 6.0]
