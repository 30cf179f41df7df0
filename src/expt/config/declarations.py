"""What the parts of a config declare: what must be known of them before they are made."""

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
"""The tasks that a loss or metric supports."""
TARGETS_KEY = "_targets_"
"""The range of values that a loss is defined for: [least, most], null without a bound."""
TAKES_KEY = "_takes_"
"""The form of class outputs that a metric takes in place of logits: log_odds."""
DIRECTION_KEY = "_direction_"
"""`max` for a metric that is better when it is larger."""
INITIALIZER_KEY = "_initializer_"
"""The initializer of the weights before an activation that suits it: a name or a part."""
TASK_KEY = "_task_"
"""The task of a model, in place of the data's own: reconstruction or generation."""
STEP_KEY = "_step_"
"""The kind of training that a model needs: a `Learner` class."""


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
    TARGETS_KEY: (_is_range, "[least, most], null where there is no bound"),
    PREDICTS_KEY: (is_links, EXPECTED_LINKS),
    PROBABILITIES_KEY: (is_probabilities, "true, false, or options with their values"),
    TAKES_KEY: (lambda value: value == "log_odds", "log_odds"),
    DIRECTION_KEY: (_is_text, "min or max"),
    INITIALIZER_KEY: (
        lambda value: _is_text(value) or (isinstance(value, dict) and "_target_" in value),
        "an initializer's name, or its _target_ and arguments",
    ),
    TASK_KEY: (_is_text, "a task's name"),
    STEP_KEY: (_is_text, "a learner's class"),
}


def part_nodes(config: Config) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of a config's parts by their places.

    Raises:
        UserError: A node is not a part, or a declaration has a wrong value.
    """
    groups = (*PARTS, "sweeper", "launcher")
    nodes: dict[str, Any] = {group: getattr(config, group) for group in groups}
    nodes |= {f"metric.{name}": node for name, node in config.metric.items()}
    nodes |= {f"recorder.{name}": node for name, node in config.recorder.items()}
    nodes |= {f"hook.{name}": node for name, node in config.hook.items()}
    for where, node in nodes.items():
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
    """Returns the number of batches whose mean gradient makes one step."""
    return config.optimizer.get(ACCUMULATION_KEY) or 1


def task_of(job: Job, data_task: str) -> str:
    """Returns the task: the one that the model declares, or else the data's."""
    return str(job.config.model.get(TASK_KEY, data_task))


def metrics_for(job: Job, task: str) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of the metrics that support a task, by name."""
    return {name: node for name, node in job.config.metric.items() if suits(node, task)}


def suits(node: Mapping[str, Any], task: str) -> bool:
    """Whether a loss or metric supports a task; one that declares none supports all."""
    return task in node.get(TASKS_KEY, [task])
