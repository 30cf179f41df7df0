"""The state of training: everything that the next step depends on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.cadence import parse_seconds
from expt.errors import UserError
from expt.runs.atomic import replacing
from expt.train.checkpoint import Checkpoint
from expt.train.learners.learner import Learner
from expt.train.monitor import BestWeights, EarlyStopping
from expt.train.program import Program

_MOST_LISTED = 5


@dataclass
class Progress:
    """How far training has come.

    Attributes:
        step: The number of finished steps.
        values: The latest value of every metric, by full name.
        reason: Why training ends before its planned last step; None if it does not.
    """

    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class State:
    """Everything that changes from step to step.

    Attributes:
        variables: The variables of networks, optimizers, random number generators and schedules,
            by a unique name that starts with the owner.
        progress: How far training has come.
        best: The best weights so far.
        stopping: The state of early stopping.
    """

    variables: Mapping[str, Any]
    progress: Progress
    best: BestWeights
    stopping: EarlyStopping

    def checkpoint(self, identity: Mapping[str, Any]) -> Checkpoint:
        """Returns a copy of the state.

        Args:
            identity: The settings that can change a run's results, by full key.
        """
        progress = self.progress
        return Checkpoint(
            step=progress.step,
            best_step=self.best.step,
            arrays={
                **{name: variable.numpy() for name, variable in self.variables.items()},
                **self.best.arrays(),
            },
            facts={
                "identity": dict(identity),
                "progress": {"values": progress.values, "reason": progress.reason},
                "best": self.best.values,
                "stopping": self.stopping.state_dict(),
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores the state of a checkpoint.

        Raises:
            UserError: The checkpoint is of another model or optimizer. Nothing has been changed.
        """
        of_best = {n: a for n, a in checkpoint.arrays.items() if n.startswith(BestWeights.PREFIX)}
        arrays = {n: a for n, a in checkpoint.arrays.items() if n not in of_best}
        _check_same(arrays, self.variables)
        _check_same(of_best, self.best.variables() if checkpoint.best_step is not None else {})
        facts, watched = checkpoint.facts, self.best.monitor.metric
        if checkpoint.best_step is not None and watched not in facts["best"]:
            raise UserError(f"the checkpoint of step {checkpoint.step} has no best {watched}.")
        # Assigned only after all checks, so that a refused checkpoint changes nothing.
        for name, variable in self.variables.items():
            variable.assign(arrays[name])
        self.progress.step = checkpoint.step
        self.progress.values = dict(facts["progress"]["values"])
        self.progress.reason = facts["progress"].get("reason")
        self.best.load(checkpoint.best_step, facts["best"], of_best)
        self.stopping.load_state_dict(facts["stopping"])


def make_state(program: Program) -> State:
    """Returns the state of a program before its first step."""
    loop, monitor = program.job.config.loop, program.monitor
    return State(
        variables=state_variables(program.learner, program.schedules),
        progress=Progress(),
        best=BestWeights(program.learner.networks, monitor),
        stopping=EarlyStopping(
            monitor,
            patience=loop.patience,
            min_change=loop.min_change,
            seconds=parse_seconds(loop.time_limit),
            target_loss=loop.target_loss,
        ),
    )


def state_variables(learner: Learner, schedules: Sequence[Any]) -> dict[str, Any]:
    """Returns every variable that steps and evaluations change, by a unique name.

    Args:
        learner: Its networks (with the states of random layers), optimizers (with moments,
            averages and loss scale), and its own random states are included.
        schedules: The learning rate schedules that depend on validation.
    """
    groups = {
        **{f"network {n}": network.variables for n, network in enumerate(learner.networks)},
        **{f"optimizer {n}": optimizer.variables for n, optimizer in enumerate(learner.optimizers)},
        "random": learner.random_states,
        **{f"schedule {n}": schedule.variables for n, schedule in enumerate(schedules)},
    }
    # The index makes names unique: the paths of two variables can be equal.
    return {
        f"{group}/{index:04d} {variable.path}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _check_same(arrays: Mapping[str, NDArray[Any]], variables: Mapping[str, Any]) -> None:
    """Checks that a checkpoint's arrays have the names, shapes and types of the variables.

    Raises:
        UserError: One differs.
    """
    there = {name: _kind(array.shape, array.dtype) for name, array in arrays.items()}
    here = {name: _kind(v.shape, np.dtype(v.dtype)) for name, v in variables.items()}
    differing = [
        f"{name}: {there.get(name, 'missing')} in the checkpoint, {here.get(name, 'missing')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    if differing:
        more = (
            f"; and {len(differing) - _MOST_LISTED} more" if len(differing) > _MOST_LISTED else ""
        )
        raise UserError(
            "the checkpoint is of another model or optimizer: "
            f"{'; '.join(differing[:_MOST_LISTED])}{more}. Has the model's code changed since?"
        )


def _kind(shape: Sequence[int], dtype: Any) -> str:
    return f"{dtype} {list(shape)}"


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model as a `.keras` file atomically: a failure leaves the previous file intact."""
    with replacing(path) as partial:
        model.save(partial)


@contextmanager
def averages_in_place(
    networks: Sequence[keras.Model], optimizers: Sequence[keras.optimizers.Optimizer]
) -> Iterator[None]:
    """Replaces weights by their moving averages within the block, for optimizers with `use_ema`.

    The averages are the result of such a run, so they are evaluated and saved. The trained weights
    are restored at the end. Weights of other optimizers stay as they are.
    """
    trained = put_averages(networks, optimizers)
    try:
        yield
    finally:
        put_back(trained)


def put_averages(
    networks: Sequence[keras.Model], optimizers: Sequence[keras.optimizers.Optimizer]
) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Replaces weights by their moving averages, for optimizers with `use_ema`, also in a graph.

    Returns:
        The replaced variables, each with its trained value, for `put_back`.
    """
    trained = []
    for network, optimizer in zip(networks, optimizers, strict=True):
        inner = _inner(optimizer)
        if not inner.use_ema:
            continue
        # Keras has no public name for them. Its own `finalize_variable_values` overwrites the
        # trained weights, with which training has to continue.
        averages = inner._model_variables_moving_average
        # Before the first step the averages are zeros.
        has_averages = tf.convert_to_tensor(inner.iterations.value) > 0
        for variable, average in zip(network.trainable_variables, averages, strict=True):
            # A copy: the value of a variable is read only when it is used.
            value = tf.identity(variable.value)
            trained.append((variable, value))
            variable.assign(tf.where(has_averages, average.value, value))
    return trained


def put_back(trained: Sequence[tuple[keras.Variable, tf.Tensor]]) -> None:
    """Assigns the trained values that `put_averages` has replaced."""
    for variable, value in trained:
        variable.assign(value)


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
