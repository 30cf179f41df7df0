from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from expt.parts.data.scale import Scale
from expt.parts.models.adversarial import gan
from expt.parts.models.convolutional import cnn
from expt.parts.models.dense import mlp
from expt.parts.models.standardization import with_standardization
from expt.train.layer_table import layer_table

SCALE = Scale(np.zeros(4, np.float32), np.ones(4, np.float32))


def small_mlp(num_outputs: int = 2, **options: Any) -> Any:
    return mlp((4,), num_outputs, keras.layers.ReLU, **{"units": (5,), **options})


def test_each_layer_has_one_row() -> None:
    inputs = keras.Input((4, 3), name="sequence")
    hidden = keras.layers.Dense(5, name="wide")(inputs)
    outputs = keras.layers.Flatten(name="flat")(hidden)
    assert layer_table([keras.Model(inputs, outputs)]) == [
        {
            "name": "sequence",
            "type": "InputLayer",
            "output_shape": [None, 4, 3],
            "parameters": 0,
        },
        {"name": "wide", "type": "Dense", "output_shape": [None, 4, 5], "parameters": 20},
        {"name": "flat", "type": "Flatten", "output_shape": [None, 20], "parameters": 0},
    ]


def make_pair() -> list[Any]:
    pair = gan((2, 2, 1), 1, keras.layers.ReLU, generator_units=[3], discriminator_units=[3, 2])
    return [pair.generator, pair.discriminator]


@pytest.mark.parametrize(
    "make",
    [
        lambda: [small_mlp()],
        lambda: [small_mlp(units=(5, 6), normalization="batch", residual=True)],
        lambda: [cnn((8, 8, 1), 3, keras.layers.ReLU, filters=(4,), units=(5,))],
        lambda: [with_standardization(small_mlp(num_outputs=4), SCALE, SCALE)],
        make_pair,
    ],
    ids=["mlp", "residual", "cnn", "standardised", "pair"],
)
def test_parameters_of_all_rows_add_up_to_those_of_the_model(make: Callable[[], list[Any]]) -> None:
    networks = make()
    rows = layer_table(networks)
    total = sum(network.count_params() for network in networks)
    assert sum(row["parameters"] for row in rows) == total
    assert len({row["name"] for row in rows}) == len(rows)
    assert all(row["output_shape"][0] is None for row in rows)


def test_layers_of_nested_models_are_named_by_their_path() -> None:
    nested = with_standardization(small_mlp(), SCALE, None)
    rows = {row["name"]: row for row in layer_table([nested])}
    assert {"inputs", "standardised"} <= set(rows)
    (wide,) = (row for name, row in rows.items() if row["parameters"] == 4 * 5 + 5)
    assert wide["name"].startswith("mlp/")
    assert (wide["type"], wide["output_shape"]) == ("Dense", [None, 5])


def test_layers_of_a_pair_are_named_by_their_network() -> None:
    networks = {row["name"].split("/")[0] for row in layer_table(make_pair())}
    assert networks == {"generator", "discriminator"}


def test_layer_outside_of_a_graph_has_no_shape() -> None:
    class Free(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2, name="free")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Free()
    model(np.ones((1, 3), np.float32))
    assert layer_table([model]) == [
        {"name": "free", "type": "Dense", "output_shape": None, "parameters": 8}
    ]
