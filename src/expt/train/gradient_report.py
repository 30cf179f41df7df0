"""The gradient check of a config: builds its program, checks its gradients, prints a table.

Importing this module imports TensorFlow.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from expt.config.instantiate import ACCUMULATION_KEY
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.probes.gradient_check import FLOAT32, FLOAT64, Precision, WeightCheck, check_gradients
from expt.record.phases import Phases
from expt.record.values import format_value
from expt.train.backend import reason_of, start_tensorflow
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch
from expt.train.program import Program, make_program
from expt.train.step import values_of

_MOST_EXAMPLES = 32  # more examples take longer, and have more kinks within a step
_NOISE = 0.01  # standard deviation of the change of the initial weights
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}

_Function = Callable[..., list[tf.Tensor]]


class _NotFloat64Error(Exception):
    """The loss can't be computed in float64, or is rounded to a shorter type on the way."""


def report_gradients(job: Job, dataset: Dataset, phases: Phases) -> int:
    """Compares the gradients of a config with central differences, and prints a table.

    The gradients are those of the mean loss of the first batch (at most 32 examples), without
    augmentation, at the initial weights with a little noise: zero biases would lie on the kinks of
    relu. Random layers, such as dropout, draw the same numbers each time. The loss is computed in
    float64 if its parts support that, else in float32.

    Args:
        job: The job, which must have been checked.
        dataset: The data set of the job.
        phases: Shows what is being done; its console prints the table.

    Returns:
        The exit code: 1 if a gradient is wrong.

    Raises:
        UserError: The parts do not fit each other or the data, or there are several losses.
    """
    changes: dict[str, Any] = {"loop.precision": "float32"}
    if ACCUMULATION_KEY in job.config.optimizer:
        changes[f"optimizer.{ACCUMULATION_KEY}"] = None
    job = replace(job, config=job.config.with_values(changes))
    dataset = replace(dataset, batch_size=min(_MOST_EXAMPLES, dataset.batch_size))
    with phases("checking the model on one batch"):
        _build(job, dataset, FLOAT32).check()
    precision = FLOAT64
    try:
        checks = _check(job, dataset, phases, precision)
    except _NotFloat64Error as reason:
        precision = FLOAT32
        note = f"note: checked in float32, with a tolerance of {precision.tolerance:g}: {reason}"
        phases.console.print(note, **_PLAIN)
        checks = _check(job, dataset, phases, precision)
    phases.console.print(_table(checks))
    phases.console.print(_summary(list(checks.values()), precision), **_PLAIN)
    return 0 if all(check.is_correct for check in checks.values()) else 1


def _build(job: Job, dataset: Dataset, precision: Precision) -> Program:
    start_tensorflow(job.config.seed, precision.dtype, job.config.loop.threads)
    return make_program(job, dataset)


def _check(
    job: Job, dataset: Dataset, phases: Phases, precision: Precision
) -> dict[str, WeightCheck]:
    """Returns the checks of the weights by path.

    Raises:
        _NotFloat64Error: The precision is float64, and the loss is not computed in it.
    """
    with phases("building the model"):
        try:
            program = _build(job, dataset, precision)
            batch = _in_type(first_batch(dataset), precision.dtype)
            weights = _with_noise(values_of(program.learner.step.weights), job.config.seed)
            losses, loss_and_gradients = _compile(program, batch)
            _, *gradients = [each.numpy() for each in loss_and_gradients(*weights)]
            shorter = _shorter_type(losses, weights)
        # The float32 program has passed its checks, so the error is about types.
        except (UserError, TypeError, ValueError, tf.errors.OpError) as error:
            if precision is FLOAT64:
                raise _NotFloat64Error(reason_of(error)) from error
            raise
    if precision is FLOAT64 and shorter is not None:
        raise _NotFloat64Error(f"a part of the model or the loss computes in {shorter}.")
    if len(gradients) != len(weights):
        raise UserError(
            f"mode=gradients: this kind of training has {1 + len(gradients) - len(weights)} "
            "losses; expected a model that is trained with one."
        )

    def loss(index: int, weight: NDArray[Any]) -> float:
        (value,) = losses(*weights[:index], tf.constant(weight), *weights[index + 1 :])
        return float(value)

    paths = [variable.path for variable in program.learner.step.weights]
    values = [weight.numpy() for weight in weights]
    checks = {}
    with phases("comparing the gradients"):
        found = check_gradients(loss, values, gradients, precision, job.config.seed)
        for path, check in zip(paths, found, strict=True):
            checks[path] = check
            phases.update(f"comparing the gradients: {len(checks)} of {len(paths)} weights")
    return checks


def _in_type(batch: Batch, dtype: str) -> Batch:
    if batch.weights is None:
        return batch
    return batch._replace(weights=tf.cast(batch.weights, dtype))


def _with_noise(weights: Sequence[tf.Tensor], seed: int) -> list[tf.Tensor]:
    generator = np.random.default_rng(seed)
    return [weight + _NOISE * generator.standard_normal(weight.shape) for weight in weights]


def _compile(program: Program, batch: Batch) -> tuple[_Function, _Function]:
    """Returns two functions of all weights: the losses, and the losses with the gradients."""
    step = program.learner.step
    states = values_of(step.states)

    def loss_and_gradients(*weights: tf.Tensor) -> list[tf.Tensor]:
        return step.gradients(weights, batch, states).means

    # TensorFlow drops the backward pass from the graph that returns the losses alone.
    def losses(*weights: tf.Tensor) -> list[tf.Tensor]:
        return loss_and_gradients(*weights)[: -len(weights)]

    return tf.function(losses), tf.function(loss_and_gradients)


def _shorter_type(function: Any, weights: Sequence[tf.Tensor]) -> str | None:
    """Returns the type to which a function rounds float64 on its way; None if it does not."""
    graph = function.get_concrete_function(*weights).graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    for node in nodes:
        if node.op == "Cast" and node.attr["SrcT"].type == tf.float64.as_datatype_enum:
            target = tf.as_dtype(node.attr["DstT"].type)
            if target.is_floating and target != tf.float64:
                return str(target.name)
    return None


def _table(checks: dict[str, WeightCheck]) -> Table:
    table = Table(box=None, header_style="", pad_edge=False)
    table.add_column("weight")
    for title in ("entries", "largest gradient", "relative difference"):
        table.add_column(title, justify="right")
    table.add_column("")
    for path, check in checks.items():
        table.add_row(
            Text(path),
            f"{check.num_entries}",
            format_value(check.largest),
            f"{check.difference:.1e}",
            "ok" if check.is_correct else Text("WRONG", style="bold red"),
        )
    return table


def _summary(checks: Sequence[WeightCheck], precision: Precision) -> str:
    wrong = sum(not check.is_correct for check in checks)
    allowed = f"in {precision.dtype}, tolerance {precision.tolerance:g}"
    if not wrong:
        return f"the gradients of all {len(checks)} weights are correct ({allowed})"
    return (
        f"the gradients of {wrong} of {len(checks)} weights are wrong ({allowed}): they differ "
        "from central differences of the loss. Check the custom gradients of the loss, and of the "
        "layers from these weights to the outputs."
    )
