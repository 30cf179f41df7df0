"""Trains as a script without expt does: Keras' `fit`, MLflow's autologging, TensorBoard.

    python -m scripts.contenders.keras_script
    python -m scripts.contenders.keras_script --act relu tanh --seed 0 1 2 --without-models

Data, split, model, optimizer, losses, epochs and evaluations are those of expt's default config;
the libraries have their own defaults. All jobs are trained in this process, one after another. The
records are in `logs/` and `mlflow.db` in the working directory.
"""

import argparse
import statistics
from pathlib import Path

import keras
import mlflow
from scripts.contenders.common import print_results
from scripts.contenders.digits_jobs import NUM_CLASSES, DigitsJob, Split, load_splits, parse_jobs

LOSSES = {"crossentropy": "categorical_crossentropy", "mse": "mean_squared_error"}


def main() -> None:
    """Trains all jobs, and prints their number and mean losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--without-models", action="store_true", help="let MLflow log no models")
    jobs, args = parse_jobs(parser)
    mlflow.tensorflow.autolog(log_models=not args.without_models)
    losses = [_train(job) for job in jobs]
    train, validation = (statistics.mean(column) for column in zip(*losses, strict=True))
    print_results(jobs=len(jobs), train_loss=train, validation_loss=validation)


def _train(job: DigitsJob) -> tuple[float, float]:
    """Returns the losses of training and validation in the last epoch."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(job.seed)
    train, validation, test = (_one_hot(split) for split in load_splits())
    with mlflow.start_run(run_name=job.name):
        mlflow.log_params({"act": job.act, "loss": job.loss, "seed": job.seed})
        model = _make_model(job)
        history = model.fit(
            *train,
            batch_size=job.batch_size,
            epochs=job.epochs,
            validation_data=validation,
            callbacks=[keras.callbacks.TensorBoard(Path("logs") / job.name)],
            verbose=2,
        ).history
        results = model.evaluate(*test, verbose=0, return_dict=True)
        mlflow.log_metrics({f"test_{name}": value for name, value in results.items()})
    return history["loss"][-1], history["val_loss"][-1]


def _one_hot(split: Split) -> Split:
    inputs, labels = split
    return inputs, keras.utils.to_categorical(labels, NUM_CLASSES)


def _make_model(job: DigitsJob) -> keras.Model:
    initializer = "glorot_uniform" if job.act == "tanh" else "he_normal"
    hidden = [
        keras.layers.Dense(width, activation=job.act, kernel_initializer=initializer)
        for width in job.units
    ]
    outputs = keras.layers.Dense(NUM_CLASSES, activation="softmax")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *hidden, outputs])
    model.compile(
        optimizer=keras.optimizers.Adam(job.learning_rate),
        loss=LOSSES[job.loss],
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    main()
