"""Saved models keep their outputs, and load with Keras alone."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from expt.config.location import config_directory
from expt.parts.models.dense import mlp
from parts.models.model_helpers import inputs_of

ConfPart = Callable[[str], functools.partial[Any]]

# A custom model may need the user's own layers.
OPTIONS = sorted(
    path.stem for path in (config_directory() / "model").glob("*.yaml") if path.stem != "custom"
)
SHAPE = (8, 8, 1)
LOADING = """
import sys, keras, numpy as np
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    stored = np.load(path.replace(".keras", ".npz"))
    np.testing.assert_allclose(model(stored["inputs"]), stored["outputs"], rtol=1e-4, atol=1e-5)
assert not [name for name in sys.modules if name.partition(".")[0] == "expt"]
print(len(sys.argv) - 1)
"""


def saved(model: keras.Model, path: Path) -> None:
    """Saves a model, and inputs with its outputs for them in a file beside it."""
    inputs = inputs_of(model.input_shape[1:])
    model.save(path)
    np.savez(path.with_suffix(".npz"), inputs=inputs, outputs=model(inputs))


def unsettle(model: keras.Model) -> None:
    """Moves all weights, also batch statistics, away from their initial values."""
    random = np.random.default_rng(0)
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(variable + random.uniform(0, 0.05, variable.shape))


def test_model_options_are_found() -> None:
    assert {"linear", "mlp", "cnn", "resnet", "vit", "autoencoder", "gan"} <= set(OPTIONS)


# Keras reads TensorFlow's variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_every_model_loads_here_and_in_a_process_that_knows_keras_alone(
    conf_part: ConfPart, tmp_path: Path
) -> None:
    paths = []
    for option in OPTIONS:
        made = conf_part(f"model/{option}")(
            input_shape=SHAPE, num_outputs=10, act=conf_part("act/relu")
        )
        for model in [made] if isinstance(made, keras.Model) else vars(made).values():
            assert isinstance(made, keras.Model) is (model.name == option)
            unsettle(model)
            paths.append(tmp_path / f"{option}_{model.name}.keras")
            saved(model, paths[-1])
            loaded = keras.models.load_model(paths[-1])
            inputs = inputs_of(model.input_shape[1:])
            np.testing.assert_array_equal(loaded(inputs), model(inputs), err_msg=option)
            assert len(loaded.losses) == len(model.losses)
    done = subprocess.run(
        [sys.executable, "-c", LOADING, *map(str, paths)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(OPTIONS) + 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("act", ["leaky_relu", "elu", "gelu"])
def test_an_mlp_with_all_its_options_loads_with_the_same_outputs(
    conf_part: ConfPart, tmp_path: Path, act: str
) -> None:
    options: dict[str, Any] = {"normalization": "batch", "residual": True, "l1": 0.1, "l2": 0.2}
    model = mlp(
        SHAPE,
        10,
        conf_part(f"act/{act}"),
        units=[7, 7],
        dropout=0.5,
        initializer=keras.initializers.VarianceScaling(2.0),
        **options,
    )
    unsettle(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = inputs_of(SHAPE)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    assert float(sum(loaded.losses)) == float(sum(model.losses)) > 0
