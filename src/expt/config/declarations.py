"""Declarations of parts: keys such as `_tasks_` that are needed before a part is instantiated."""

from collections.abc import Callable, Mapping
from typing import Any

from expt.config.compose import Job
from expt.config.instantiate import ACCUMULATION_KEY
from expt.config.location import options
from expt.config.outputs import (
    EXPECTED_LINKS,
    PREDICTS_KEY,
    PROBABILITIES_KEY,
    is_links,
    is_probabilities,
)
from expt.config.schema import PARTS, Config
from expt.errors import UserError
from expt.parts.numbers import is_number

TASKS_KEY = "_tasks_"
"""List of the tasks that a loss, metric or probe supports; absent means all."""
TARGETS_KEY = "_targets_"
"""Range of targets that a loss is defined for: `[minimum, maximum]`, with null for no bound."""
TAKES_KEY = "_takes_"
"""Form of class outputs that a metric takes instead of logits: `log_odds`."""
DIRECTION_KEY = "_direction_"
"""`max` for a metric that is better when it is larger; absent means `min`."""
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


_DECLARATIONS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    TASKS_KEY: (lambda value: isinstance(value, list), "a list of tasks"),
    TARGETS_KEY: (_is_range, "[minimum, maximum], with null for no bound"),
    PREDICTS_KEY: (is_links, EXPECTED_LINKS),
    PROBABILITIES_KEY: (is_probabilities, "true, false, or arguments of the loss with values"),
    TAKES_KEY: (lambda value: value == "log_odds", "log_odds"),
    DIRECTION_KEY: (_is_text, "min or max"),
    INITIALIZER_KEY: (
        lambda value: _is_text(value) or (isinstance(value, dict) and "_target_" in value),
        "the name of an initializer, or its _target_ and arguments",
    ),
    TASK_KEY: (_is_text, "the name of a task"),
    LEARNER_KEY: (_is_text, "the full name of a Learner class"),
}
"""For each declaration, a check of its value and a description of valid values."""


def part_nodes(config: Config) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of a config's parts by key, such as `model` or `metric.accuracy`.

    Raises:
        UserError: A node is not a part, or the value of a declaration is invalid.
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
            group = where.partition(".")[0]
            raise UserError(
                f"{where}={node}: expected one of the group's options: {', '.join(options(group))}."
            )
        for key, (is_right, expected) in _DECLARATIONS.items():
            if key in node and not is_right(node[key]):
                raise UserError(f"{where}.{key}={node[key]}: expected {expected}.")
    return nodes


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
