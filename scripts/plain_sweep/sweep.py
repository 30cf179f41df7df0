"""The sweep as written without expt: Hydra, Keras' `fit`, MLflow's autologging, TensorBoard.

    python scripts/plain_sweep/sweep.py -m act=relu,tanh,elu,gelu loss=crossentropy,mse seed=0,1,2

Data, split, model, optimizer, losses, epochs and evaluations are those of expt's defaults; the
libraries have theirs. Hydra's basic launcher trains all jobs in this process, one after another.
Runs are in `multirun/`, and MLflow's store is `mlflow.db` in the working directory.
"""

from pathlib import Path

import hydra
import keras
import mlflow
import numpy as np
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

LOSSES = {"crossentropy": "categorical_crossentropy", "mse": "mean_squared_error"}
Split = tuple[NDArray[np.float32], NDArray[np.float32]]


def load_splits() -> tuple[Split, Split, Split]:
    """Returns images and one-hot labels to train on, to validate with and to test with."""
    images, labels = load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    train, rest = train_test_split(
        np.arange(len(labels)), test_size=0.3, random_state=0, stratify=labels
    )
    validation, test = train_test_split(rest, test_size=0.5, random_state=0, stratify=labels[rest])
    targets = keras.utils.to_categorical(labels, 10).astype(np.float32)
    splits = [(inputs[part], targets[part]) for part in (train, validation, test)]
    return splits[0], splits[1], splits[2]


def make_model(config: DictConfig) -> keras.Model:
    """Returns the compiled model."""
    initializer = "glorot_uniform" if config.act == "tanh" else "he_normal"
    hidden = [
        keras.layers.Dense(units, activation=config.act, kernel_initializer=initializer)
        for units in config.units
    ]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            *hidden,
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=LOSSES[config.loss],
        metrics=["accuracy"],
    )
    return model


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Trains one job."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    train, validation, test = load_splits()
    mlflow.tensorflow.autolog()
    with mlflow.start_run(run_name=directory.name):
        mlflow.log_params({"act": config.act, "loss": config.loss, "seed": config.seed})
        model = make_model(config)
        model.fit(
            *train,
            batch_size=config.batch_size,
            epochs=config.epochs,
            validation_data=validation,
            callbacks=[keras.callbacks.TensorBoard(directory)],
            verbose=2,
        )
        results = model.evaluate(*test, verbose=0, return_dict=True)
        mlflow.log_metrics({f"test_{name}": value for name, value in results.items()})


if __name__ == "__main__":
    main()
