"""What in a training step changes from step to step, and is in no checkpoint.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from expt.config.compose import Job
from expt.config.declarations import batches_per_step
from expt.parts.data.dataset import Dataset
from expt.train.input.pipeline import first_batch
from expt.train.program import make_program
from expt.train.state import state_variables

# The operations that draw from a state of their own; those of tf.random.Generator draw from a
# variable, and the Stateless ones, of which Keras makes use, from their arguments.
_RANDOM = re.compile(
    r"Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson|PoissonV2|Shuffle|Crop)"
    r"|(Parameterized)?TruncatedNormal|Multinomial|SampleDistortedBoundingBox(V2)?"
    r"|\w+CandidateSampler"
)
_PYTHON = re.compile(r"(Eager)?PyFunc(Stateless)?")

Found = list[tuple[str, str]]
"""Names, each with the place in the step."""


def inspect_step(job: Job, dataset: Dataset, num_steps: int) -> dict[str, Found]:
    """Traces the step that a job trains with, runs it, and looks for what can't be restored.

    Args:
        job: The frozen config.
        dataset: Its data.
        num_steps: How often to run the step, all on one batch.

    Returns:
        By kind: `variables` that the step changed and that no checkpoint holds, stateful `random`
        operations, and operations that call `python`.
    """
    program = make_program(job, dataset)
    layers = _layers(program.learner.networks)
    batch = first_batch(dataset, batches_per_step(job.config))
    step = tf.function(program.learner.step).get_concrete_function(batch)
    states = state_variables(program.learner, program.schedules).values()
    held = {id(_handle(variable)) for variable in states}
    loose = [pair for pair in _used(step.graph) if id(pair[0].handle) not in held]
    before = [variable.numpy() for variable, _ in loose]
    for _ in range(num_steps):
        step(batch)
    operations = list(_operations(step.graph.as_graph_def()))
    return {
        "variables": [
            (variable.name.partition(":")[0], _place(path, layers))
            for (variable, path), array in zip(loose, before, strict=True)
            if not np.array_equal(variable.numpy(), array)
        ],
        "random": _of_kind(_RANDOM, operations, layers),
        "python": _of_kind(_PYTHON, operations, layers),
    }


def _handle(variable: Any) -> tf.Tensor:
    """The tensor by which a graph knows a variable, TensorFlow's or Keras'."""
    plain = variable.value if isinstance(variable, keras.Variable) else variable
    return plain.handle


def _used(graph: Any) -> Iterator[tuple[tf.Variable, str]]:
    """Yields each variable of a graph with the path of an operation that takes it."""
    variables = {id(variable.handle): variable for variable in graph.variables}
    for outer, inner in graph.captures:
        if id(outer) in variables:
            users = [operation.name for operation in inner.consumers()]
            yield variables[id(outer)], next(iter(users), inner.name)


def _operations(graph: Any) -> Iterator[tuple[str, str]]:
    """Yields kind and path of each operation, also of those in functions that others call."""
    functions = {function.signature.name: function.node_def for function in graph.library.function}

    def walk(nodes: Any, prefix: str, callers: frozenset[str]) -> Iterator[tuple[str, str]]:
        for node in nodes:
            path = f"{prefix}{node.name}"
            yield node.op, path
            for name in (f.name for value in node.attr.values() for f in _called(value)):
                if name in functions and name not in callers:
                    yield from walk(functions[name], f"{path}/", callers | {name})

    return walk(graph.node, "", frozenset())


def _called(value: Any) -> Sequence[Any]:
    return [value.func, *value.list.func]


def _of_kind(
    kind: re.Pattern[str], operations: Sequence[tuple[str, str]], layers: dict[str, str]
) -> Found:
    found = [(op, _place(path, layers)) for op, path in operations if kind.fullmatch(op)]
    return list(dict.fromkeys(found))


def _place(path: str, layers: dict[str, str]) -> str:
    """The innermost layer on an operation's path; the path itself if there is none."""
    for part in reversed(path.split("/")):
        # Keras opens a layer's scope twice, so that the second time a number is appended.
        for name in (re.sub(r"_\d+$", "", part), part):
            if name in layers:
                return f"the layer {name} ({layers[name]})"
    return path


def _layers(networks: Sequence[keras.Model]) -> dict[str, str]:
    """The class of each layer, also of those within layers, by its name."""
    return {
        layer.name: type(layer).__name__
        for network in networks
        for layer in network._flatten_layers()  # Keras offers no other
        if not isinstance(layer, keras.Model)
    }
