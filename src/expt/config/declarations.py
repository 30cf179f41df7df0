"""Declarations of parts: keys such as `_tasks_` that are needed before a part is instantiated."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from expt.config.instantiate import ACCUMULATION_KEY
from expt.config.job import Job
from expt.config.location import options
from expt.config.outputs import (
    EXPECTED_LINKS,
    LINKS,
    PREDICTS_KEY,
    PROBABILITIES_KEY,
    TASKS,
    is_links,
    is_probabilities,
)
from expt.config.schema import PARTS, Config
from expt.errors import UserError, hint, nearest, typed
from expt.parts.numbers import is_number

TASKS_KEY = "_tasks_"
"""List of the tasks that a loss, metric or probe supports; absent means all."""
TARGETS_KEY = "_targets_"
"""Range of targets that a loss is defined for: `[minimum, maximum]`, with null for no bound."""
TAKES_KEY = "_takes_"
"""Form of class outputs that a metric takes instead of logits: `log_odds`."""
DIRECTION_KEY = "_direction_"
"""`max` for a metric that is better when it is larger, `min` if smaller; absent means `min`."""
INITIALIZER_KEY = "_initializer_"
"""Initializer of the weights before an activation: a name, such as `he_normal`, or a part."""
TASK_KEY = "_task_"
"""Task of a model that replaces the task of the data: `reconstruction` or `generation`."""
LEARNER_KEY = "_step_"
"""Kind of training that a model needs: the full name of a `Learner` class."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(bound is None or is_number(bound) for bound in value)
    )


class _Declaration(NamedTuple):
    """A declaration.

    Attributes:
        groups: The groups whose parts may have it.
        is_right: Checks a value.
        expected: A description of valid values.
        words: The words that a value consists of, if there are few.
    """

    groups: tuple[str, ...]
    is_right: Callable[[object], bool]
    expected: str
    words: tuple[str, ...] = ()


_DECLARATIONS: Mapping[str, _Declaration] = {
    TASKS_KEY: _Declaration(
        ("loss", "metric", "probe"),
        lambda value: isinstance(value, list) and all(task in TASKS for task in value),
        f"a list of {', '.join(TASKS)}",
        TASKS,
    ),
    TARGETS_KEY: _Declaration(("loss",), _is_range, "[minimum, maximum], with null for no bound"),
    PREDICTS_KEY: _Declaration(("loss",), is_links, EXPECTED_LINKS, LINKS),
    PROBABILITIES_KEY: _Declaration(
        ("loss",), is_probabilities, "true, false, or arguments of the loss with values"
    ),
    TAKES_KEY: _Declaration(
        ("metric",), lambda value: value == "log_odds", "log_odds", ("log_odds",)
    ),
    DIRECTION_KEY: _Declaration(
        ("metric",), lambda value: value in ("max", "min"), "max or min", ("max", "min")
    ),
    INITIALIZER_KEY: _Declaration(
        ("act",),
        lambda value: _is_text(value) or (isinstance(value, dict) and "_target_" in value),
        "the name of an initializer, or its _target_ and arguments",
    ),
    TASK_KEY: _Declaration(
        ("model",), lambda value: value in TASKS, f"one of {', '.join(TASKS)}", TASKS
    ),
    LEARNER_KEY: _Declaration(("model",), _is_text, "the full name of a Learner class"),
}


def part_nodes(config: Config) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of a config's parts by key, such as `model` or `metric.accuracy`.

    Raises:
        UserError: A node is not a part, or a declaration is unknown or has an invalid value.
    """
    groups = (*PARTS, "sweeper", "launcher")
    nodes: dict[str, Any] = {group: getattr(config, group) for group in groups}
    nodes |= {f"metric.{name}": node for name, node in config.metric.items()}
    nodes |= {f"recorder.{name}": node for name, node in config.recorder.items()}
    nodes |= {f"hook.{name}": node for name, node in config.hook.items()}
    nodes |= {f"probe.{name}": node for name, node in config.probe.items()}
    for where, node in nodes.items():
        # A node is None after model=null, and can be any value after metric.accuracy=1.
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            group, _, name = where.partition(".")
            if name == "_target_":
                raise UserError(
                    f"{where}={typed(node)}: the first line of the yaml of this {group}, "
                    f"conf/{group}/NAME.yaml, must be `# @package {group}.NAME`."
                )
            if isinstance(node, dict) and node:
                raise UserError(
                    f"{where}: its yaml, conf/{group}/{name or 'NAME'}.yaml, has no `_target_`. "
                    "Expected the full name of a function or class: my_project.losses.robust."
                )
            raise UserError(
                f"{where}={typed(node)}: expected one of the group's options: "
                f"{', '.join(options(group))}."
            )
        _check_declarations(where, node)
    return nodes


def _check_declarations(where: str, node: Mapping[str, Any]) -> None:
    group = where.partition(".")[0]
    valid = [key for key, declared in _DECLARATIONS.items() if group in declared.groups]
    for key, value in node.items():
        # Arguments by position have a message of their own, see `bind_part`.
        if not key.startswith("_") or key in ("_target_", "_args_"):
            continue
        if key not in valid:
            raise UserError(
                f"{where}.{key}={_as_typed(value)}: {group} has no such declaration. "
                f"{hint(key, valid)}"
            )
        declared = _DECLARATIONS[key]
        if not declared.is_right(value):
            words = map(str, value if isinstance(value, list) else [value])
            wrong = [word for word in words if word not in declared.words]
            near = next((nearest(word, declared.words) for word in wrong), None)
            question = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"{where}.{key}={_as_typed(value)}: expected {declared.expected}.{question}"
            )


def _as_typed(value: object) -> str:
    return f"[{','.join(map(typed, value))}]" if isinstance(value, list) else typed(value)


def batches_per_step(config: Config) -> int:
    """Returns the number of batches whose gradients are averaged for one step."""
    return config.optimizer.get(ACCUMULATION_KEY) or 1  # null means no accumulation


def task_of(job: Job, data_task: str) -> str:
    """Returns the task of a job: the one that the model declares, or else that of the data."""
    return str(job.config.model.get(TASK_KEY, data_task))


def metrics_for(job: Job, task: str) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of the metrics that support a task, by metric name."""
    return {name: node for name, node in job.config.metric.items() if supports_task(node, task)}


def supports_task(node: Mapping[str, Any], task: str) -> bool:
    """Whether a loss, metric or probe supports a task; without a declaration it supports all."""
    return task in node.get(TASKS_KEY, [task])
