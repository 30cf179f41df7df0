"""Trains with Keras' `fit`, with its defaults or with settings that a search has found.

    python -m scripts.contenders.keras_fit DATA.npz
    python -m scripts.contenders.keras_fit DATA.npz --search
    python -m scripts.contenders.keras_fit DATA.npz --settings '{"steps_per_execution": 19}'

A setting is an argument of `compile`; `--search` prints the fastest ones of a small grid. With
`--search` or `--settings`, the validation split is evaluated in one batch, too.
"""

import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

import keras
from scripts.contenders.common import EpochClock, Task, make_task, print_results, task_parser
from scripts.contenders.keras_models import make_model

Settings = Mapping[str, Any]
_MOST_SECONDS = 10.0  # of a trial with XLA, whose convolutions can take a second a step on CPUs


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
    for jit_compile, steps in itertools.product((False, True), (1, 10, task.steps_per_epoch)):
        if jit_compile and not _is_bearable(task):
            break
        settings = {"steps_per_execution": steps, "jit_compile": jit_compile}
        # Two epochs, or more if they are short: one epoch of 19 steps is too little to time.
        clock, epochs = EpochClock(), 1 + max(1, 200 // task.steps_per_epoch)
        _fit(task, settings, epochs, clock)
        trials[json.dumps(settings)] = clock.seconds
    best: Settings = json.loads(min(trials, key=trials.__getitem__))
    return best


def _is_bearable(task: Task) -> bool:
    """Returns whether a few steps with XLA end within the time of a trial."""
    model = _compiled(task, {"jit_compile": True})
    few = task.batch_size
    inputs, targets = task.arrays["x_train"][:few], task.arrays["y_train"][:few]
    model.train_on_batch(inputs, targets)
    began = time.perf_counter()
    model.train_on_batch(inputs, targets)
    return (time.perf_counter() - began) * task.steps_per_epoch < _MOST_SECONDS


def _fit(
    task: Task, settings: Settings | None, epochs: int, clock: EpochClock
) -> keras.callbacks.History:
    arrays, size = task.arrays, None if settings is None else len(task.arrays["x_validation"])
    return _compiled(task, settings or {}).fit(
        arrays["x_train"],
        arrays["y_train"],
        batch_size=task.batch_size,
        epochs=epochs,
        validation_data=(arrays["x_validation"], arrays["y_validation"]),
        validation_batch_size=size,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: clock.end_epoch())],
    )


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
