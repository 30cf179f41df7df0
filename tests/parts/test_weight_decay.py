"""The variables that weight decay excludes, by the names of Keras' layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.config.compose import compose_jobs
from expt.config.location import options
from expt.parts.weight_decay import variables_without_decay
from expt.train.data_loading import DataLoader
from expt.train.program import make_program

layers = keras.layers
IMAGES, WORDS = keras.Input([8, 8, 3]), keras.Input([5, 6])


def left_out(inputs: Any, *stack: Any) -> set[str]:
    """Returns the excluded variables, by layer and name."""
    outputs = inputs
    for layer in stack:
        outputs = layer(outputs)
    variables = keras.Model(inputs, outputs).trainable_variables
    names = {
        "/".join(variable.path.split("/")[-2:]) for variable in variables_without_decay(variables)
    }
    assert len(names) < len(variables), "nothing decays"
    return names


class ClassToken(keras.Layer):  # type: ignore[misc]
    def build(self, input_shape: Sequence[int]) -> None:
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), name="cls_token")

    def call(self, inputs: Any) -> Any:
        return inputs + self.token


@pytest.mark.parametrize(
    ("inputs", "stack", "expected"),
    [
        (
            IMAGES,
            [
                layers.Conv2D(4, 3, name="conv"),
                layers.BatchNormalization(name="batch"),
                layers.GroupNormalization(2, name="group"),
                layers.PReLU(shared_axes=[1, 2], name="prelu"),
                layers.SeparableConv2D(4, 3, name="separable"),
            ],
            {
                *("conv/bias", "batch/gamma", "batch/beta", "group/gamma", "group/beta"),
                *("prelu/alpha", "separable/bias"),
            },
        ),
        (
            WORDS,
            [
                layers.LayerNormalization(axis=[1, 2], name="norm"),  # gamma is a matrix
                layers.GRU(4, return_sequences=True, name="gru"),  # and so is its bias
                layers.EinsumDense("bpi,io->bpo", (5, 4), bias_axes="po", name="patches"),
                ClassToken(name="first"),
                layers.Dense(3, name="dense"),
            ],
            {
                *("norm/gamma", "norm/beta", "gru_cell/bias", "patches/bias"),
                *("first/cls_token", "dense/bias"),
            },
        ),
    ],
)
def test_biases_normalization_and_tokens_are_excluded(
    inputs: Any, stack: list[Any], expected: set[str]
) -> None:
    assert left_out(inputs, *stack) == expected


def test_word_embeddings_decay_and_position_embeddings_do_not() -> None:
    words, positions = (
        layers.Embedding(9, 4, name="words"),
        layers.Embedding(5, 4, name="pos_embed"),
    )
    for layer in (words, positions):
        layer.build([None, 5])
    assert variables_without_decay([words.embeddings, positions.embeddings]) == [
        positions.embeddings
    ]


def test_attention_has_biases_that_are_matrices() -> None:
    attention = layers.MultiHeadAttention(2, 3)
    attention.build([None, 5, 6], [None, 5, 6])
    found = [
        variable.path.split("/")[-1]
        for variable in variables_without_decay(attention.trainable_variables)
    ]
    assert found == ["bias"] * 4
    assert len(attention.trainable_variables) == 8


@pytest.fixture(scope="module")
def load() -> DataLoader:
    return DataLoader()


def decayed(load: DataLoader, *overrides: str) -> dict[str, float]:
    """Returns the factor by which one step with zero gradients multiplies each variable."""
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    keras.utils.set_random_seed(1)
    learner = make_program(job, load(job)).learner
    variables, optimizer = learner.model.trainable_variables, learner.optimizers[0]
    for variable in variables:
        variable.assign(tf.ones(variable.shape))
    optimizer.apply([tf.zeros(variable.shape) for variable in variables], variables)
    return {variable.path: float(np.mean(variable.numpy())) for variable in variables}


# Without gradients, Muon still changes matrices, and FTRL computes weights from its sums.
PLAIN = sorted(set(options("optimizer")) - {"muon", "ftrl"})


@pytest.mark.parametrize("option", PLAIN)
def test_every_optimizer_excludes_them_by_default(load: DataLoader, option: str) -> None:
    given = [f"optimizer={option}", "optimizer.learning_rate=0.1", "optimizer.weight_decay=0.5"]
    small = ["model.units=[4]", "model.normalization=layer", "data=iris"]
    by_default = decayed(load, *given, *small)
    assert {path.split("/")[-1] for path in by_default} == {"kernel", "bias", "gamma", "beta"}
    for path, factor in by_default.items():
        assert factor == pytest.approx(0.95 if path.endswith("kernel") else 1.0)
    everything = decayed(load, *given, *small, "optimizer.decay_all=true")
    assert list(everything.values()) == pytest.approx([0.95] * len(everything))


def test_muon_excludes_them_from_both_of_its_decays(load: DataLoader) -> None:
    given = ["optimizer=muon", "optimizer.learning_rate=0.1", "data=iris", "model.units=[4]"]
    factors = decayed(load, *given, "optimizer.adam_weight_decay=0.5")
    assert [v for path, v in factors.items() if path.endswith("bias")] == pytest.approx([1.0, 1.0])


def test_they_are_excluded_with_a_loss_scale(load: DataLoader) -> None:
    given = ["optimizer=adamw", "optimizer.learning_rate=0.1", "optimizer.weight_decay=0.5"]
    factors = decayed(load, *given, "loop.precision=mixed_float16", "data=iris")
    assert sorted(set(factors.values())) == pytest.approx([0.95, 1.0])


def test_config_without_the_key_decays_all_variables(load: DataLoader) -> None:
    """A run of a previous version is then resumed exactly."""
    given = ["optimizer=adamw", "optimizer.learning_rate=0.1", "optimizer.weight_decay=0.5"]
    factors = decayed(load, *given, "data=iris", "~optimizer.decay_all")
    assert list(factors.values()) == pytest.approx([0.95] * len(factors))


@pytest.mark.parametrize("model", ["mlp", "cnn", "resnet"])
def test_penalties_are_on_kernels_alone(load: DataLoader, model: str) -> None:
    given = [f"model={model}", "model.l2=0.1", *(["model.depth=8"] if model == "resnet" else [])]
    (job,), _ = compose_jobs(given, None, multirun=False)
    made = make_program(job, load(job)).learner.model
    kernels = [v for v in made.trainable_variables if v.path.endswith("kernel")]
    assert len(made.losses) == len(kernels) > 0
    expected = 0.1 * sum(float(np.sum(v.numpy() ** 2)) for v in kernels)
    assert float(sum(made.losses)) == pytest.approx(expected, rel=1e-4)
