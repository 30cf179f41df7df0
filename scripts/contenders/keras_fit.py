"""Trains with Keras' `fit`, with its defaults or with settings that a search has found.

    python -m scripts.contenders.keras_fit DATA.npz
    python -m scripts.contenders.keras_fit DATA.npz --search
    python -m scripts.contenders.keras_fit DATA.npz --settings '{"steps_per_execution": 19}'

Settings are arguments of `compile`, and `pipeline`: whether `fit` gets a `tf.data` pipeline instead
of arrays. `--search` prints the fastest settings of a small grid. With `--search` or `--settings`,
the validation split is evaluated in one batch, too.
"""

import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from scripts.contenders.common import EpochClock, Task, make_task, print_results, task_parser
from scripts.contenders.keras_models import make_model

Settings = Mapping[str, Any]
_TRIAL_SECONDS = 2.0  # of each trial of the search
_MOST_SECONDS = 30.0  # of an epoch in the search


def main() -> None:
    """Trains and prints the results, or prints the best settings."""
    parser = task_parser(__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--search", action="store_true", help="print the best settings")
    parser.add_argument("--settings", type=json.loads, help="arguments of compile as JSON")
    args = parser.parse_args()
    task = make_task(args)
    if args.search:
        print_results(settings=_search(task))
        return
    clock = EpochClock()
    history = _fit(task, args.settings, task.epochs, clock).history
    clock.report(task, history["loss"][-1], history["val_loss"][-1])


def _search(task: Task) -> Settings:
    """Returns the fastest settings of a small grid."""
    trials = {}
    for jit_compile in (False, True):
        seconds = _seconds_per_epoch(task, jit_compile=jit_compile)
        # XLA can take seconds for a step with convolutions on CPUs; more trials would not help.
        if jit_compile and seconds > _MOST_SECONDS:
            break
        epochs = 1 + max(1, min(10, int(_TRIAL_SECONDS / seconds)))
        for steps, pipeline in itertools.product((10, task.steps_per_epoch), (False, True)):
            settings = {
                "steps_per_execution": min(steps, task.steps_per_epoch),
                "jit_compile": jit_compile,
                "pipeline": pipeline,
            }
            clock = EpochClock()
            _fit(task, settings, epochs, clock)
            trials[json.dumps(settings)] = clock.seconds / (epochs - 1)
    best: Settings = json.loads(min(trials, key=trials.__getitem__))
    return best


def _seconds_per_epoch(task: Task, *, jit_compile: bool) -> float:
    """Returns an estimate, from one step, of the time of an epoch."""
    model = _compiled(task, {"jit_compile": jit_compile})
    inputs, targets = task.arrays["x_train"], task.arrays["y_train"]
    batch = inputs[: task.batch_size], targets[: task.batch_size]
    model.train_on_batch(*batch)
    began = time.perf_counter()
    model.train_on_batch(*batch)
    return (time.perf_counter() - began) * task.steps_per_epoch


def _fit(
    task: Task, settings: Settings | None, epochs: int, clock: EpochClock
) -> keras.callbacks.History:
    arguments = dict(settings or {})
    arrays, data = task.arrays, _pipeline(task) if arguments.pop("pipeline", False) else None
    return _compiled(task, arguments).fit(
        arrays["x_train"] if data is None else data,
        arrays["y_train"] if data is None else None,
        batch_size=task.batch_size if data is None else None,
        epochs=epochs,
        shuffle=data is None,
        validation_data=(arrays["x_validation"], arrays["y_validation"]),
        validation_batch_size=None if settings is None else len(arrays["x_validation"]),
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: clock.end_epoch())],
    )


def _pipeline(task: Task) -> tf.data.Dataset:
    examples = task.arrays["x_train"], task.arrays["y_train"]
    shuffled = tf.data.Dataset.from_tensor_slices(examples).shuffle(len(examples[0]))
    return shuffled.batch(task.batch_size).prefetch(tf.data.AUTOTUNE)


def _compiled(task: Task, settings: Settings) -> keras.Model:
    model = make_model(task)
    model.compile(
        optimizer=keras.optimizers.Adam(task.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **settings,
    )
    return model


if __name__ == "__main__":
    main()
