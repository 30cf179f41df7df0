"""What training leaves to be kept: averaged weights, and the saved model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model as a `.keras` file, atomically: there is the whole file or the one before."""
    partial = path.with_name(f"partial-{path.name}")
    model.save(partial)
    partial.replace(path)


@contextmanager
def averages_in_place(
    networks: Sequence[keras.Model], optimizers: Sequence[keras.optimizers.Optimizer]
) -> Iterator[None]:
    """Puts the averages that optimizers with `use_ema` keep in the place of the trained weights.

    Averages are what such a run is for, so they are what is evaluated and kept. The trained
    weights come back at the end.
    """
    kept = []
    for network, optimizer in zip(networks, optimizers, strict=True):
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # under a loss scale
        if inner.use_ema and int(inner.iterations) > 0:  # before, the averages are zeros
            averages = inner._model_variables_moving_average  # Keras offers no other
            kept += [
                (variable, variable.numpy(), average)
                for variable, average in zip(network.trainable_variables, averages, strict=True)
            ]
    for variable, _, average in kept:
        variable.assign(average)
    try:
        yield
    finally:
        for variable, trained, _ in kept:
            variable.assign(trained)
