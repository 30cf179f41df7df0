"""Search for state of a training step that changes between steps and is in no checkpoint.

Importing this module imports TensorFlow, so `expt.train.backend.start_for` has to be called first.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from expt.config.declarations import batches_per_step
from expt.config.job import Job
from expt.parts.data.dataset import Dataset
from expt.train.compilation import compile_function
from expt.train.input.pipeline import first_batch
from expt.train.program import make_program
from expt.train.state import state_variables

# The operations with hidden random state. Others are safe to resume: those of tf.random.Generator
# keep their state in a variable, and the Stateless ones, which Keras uses, take it as an argument.
_RANDOM = re.compile(
    r"Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson|PoissonV2|Shuffle|Crop)"
    r"|(Parameterized)?TruncatedNormal|Multinomial|SampleDistortedBoundingBox(V2)?"
    r"|\w+CandidateSampler"
)
_PYTHON = re.compile(r"(Eager)?PyFunc(Stateless)?")

Findings = list[tuple[str, str]]
"""Names of variables or operations, each with its place in the step, such as a layer."""


def inspect_step(job: Job, dataset: Dataset, num_steps: int) -> dict[str, Findings]:
    """Traces and runs the training step of a job, and finds state that can't be restored.

    Args:
        job: The job with its frozen config.
        dataset: The data set of the job.
        num_steps: The number of steps to run, all on the first batch.

    Returns:
        Three lists: `variables` that the step changed and that are in no checkpoint, `random` with
        stateful random operations, and `python` with operations that call Python.
    """
    program = make_program(job, dataset)
    layers = _layers(program.learner.networks)
    batch = first_batch(dataset, batches_per_step(job.config))
    step = compile_function(program.learner.step, "graph")
    traced = step.get_concrete_function(batch)  # type: ignore[attr-defined]
    states = state_variables(program.learner, program.schedules).values()
    saved = {id(_handle(variable)) for variable in states}
    unsaved = [pair for pair in _used(traced.graph) if id(pair[0].handle) not in saved]
    # A constant outside of checkpoints does no harm, so only variables that change are reported.
    before = [variable.numpy() for variable, _ in unsaved]
    for _ in range(num_steps):
        step(batch)
    operations = list(_operations(traced.graph.as_graph_def()))
    return {
        "variables": [
            (variable.name.partition(":")[0], _place(path, layers))
            for (variable, path), array in zip(unsaved, before, strict=True)
            if not np.array_equal(variable.numpy(), array)
        ],
        "random": _of_kind(_RANDOM, operations, layers),
        "python": _of_kind(_PYTHON, operations, layers),
    }


def _handle(variable: Any) -> tf.Tensor:
    """Returns the handle tensor that identifies a TensorFlow or Keras variable in a graph."""
    plain = variable.value if isinstance(variable, keras.Variable) else variable
    return plain.handle


def _used(graph: Any) -> Iterator[tuple[tf.Variable, str]]:
    """Yields each variable that a graph captures, with the path of an operation that uses it."""
    variables = {id(variable.handle): variable for variable in graph.variables}
    for outer, inner in graph.captures:
        if id(outer) in variables:
            users = [operation.name for operation in inner.consumers()]
            yield variables[id(outer)], next(iter(users), inner.name)


def _operations(graph: Any) -> Iterator[tuple[str, str]]:
    """Yields the kind and path of each operation, including those in called functions."""
    functions = {function.signature.name: function.node_def for function in graph.library.function}

    def walk(nodes: Any, prefix: str, callers: frozenset[str]) -> Iterator[tuple[str, str]]:
        for node in nodes:
            path = f"{prefix}{node.name}"
            yield node.op, path
            for name in (f.name for value in node.attr.values() for f in _called_functions(value)):
                # A recursive function would otherwise be walked without end.
                if name in functions and name not in callers:
                    yield from walk(functions[name], f"{path}/", callers | {name})

    return walk(graph.node, "", frozenset())


def _called_functions(value: Any) -> Sequence[Any]:
    return [value.func, *value.list.func]


def _of_kind(
    kind: re.Pattern[str], operations: Sequence[tuple[str, str]], layers: dict[str, str]
) -> Findings:
    found = [(op, _place(path, layers)) for op, path in operations if kind.fullmatch(op)]
    return list(dict.fromkeys(found))


def _place(path: str, layers: dict[str, str]) -> str:
    """Returns the innermost layer on the path of an operation, or the path if there is none."""
    for part in reversed(path.split("/")):
        # Keras opens the scope of a layer twice; TensorFlow appends a number to the second one.
        for name in (re.sub(r"_\d+$", "", part), part):
            if name in layers:
                return f"the layer {name} ({layers[name]})"
    return path


def _layers(networks: Sequence[keras.Model]) -> dict[str, str]:
    """Returns the class name of each layer, including nested ones, by the name of the layer."""
    return {
        layer.name: type(layer).__name__
        for network in networks
        for layer in network._flatten_layers()  # Keras has no public method for nested layers
        if not isinstance(layer, keras.Model)
    }
