"""Saves the best model of a run at its end."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from expt.parts.models.links import with_link
from expt.runs.run import Run
from expt.train.executors import Executor
from expt.train.state import save_model

_log = logging.getLogger(__name__)
MODEL_FILE = "model.keras"


@contextmanager
def saving_best_model(executor: Executor, run: Run) -> Iterator[None]:
    """Restores the best weights and saves the model at the end, however training ends."""
    previous_seconds, started = run.record.training_seconds or 0.0, time.perf_counter()
    best, program = executor.state.best, executor.program

    def save_best() -> None:
        run.update(training_seconds=previous_seconds + time.perf_counter() - started)
        if best.step is not None:
            best.restore()
            # With the link function as its last layer, the saved model returns predictions.
            model = with_link(program.learner.model, program.outputs.link)
            save_model(model, run.directory / MODEL_FILE)
            run.update(
                best={"step": best.step, "watched": program.monitor.metric, **best.values},
                model_outputs=asdict(program.outputs),
            )

    try:
        yield
    except BaseException:
        try:
            save_best()
        # Not raised: the error that ended training says more, and may have the same cause, such
        # as a full disk.
        except OSError as error:
            _log.warning("the best model can't be saved: %s", error)
        raise
    save_best()
