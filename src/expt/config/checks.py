"""Checks of a composed config that need neither TensorFlow nor the data."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from expt.config.cadence import Cadence, parse_seconds
from expt.config.compose import Job
from expt.config.hooks import check_hooks
from expt.config.instantiate import ACCUMULATION_KEY, DECAY_KEY, HORIZON_KEY, check_target, targets
from expt.config.location import config_directory, options
from expt.config.outputs import (
    EXPECTED_LINKS,
    PREDICTS_KEY,
    PROBABILITIES_KEY,
    is_links,
    is_probabilities,
)
from expt.config.paths import expanded
from expt.config.schema import PARTS, Config, Loop, Sweep
from expt.errors import UserError, hint
from expt.parts.models.arguments import check_arguments
from expt.parts.numbers import is_count, is_number

_MOST_THREADS = 256
# The keys by which parts declare what must be known without making them.
TASKS_KEY = "_tasks_"
"""The tasks that a loss or metric is for."""
TARGETS_KEY = "_targets_"
"""The range of values that a loss is defined for: [least, most], null without a bound."""
TAKES_KEY = "_takes_"
"""What a metric is given of class outputs in place of logits: log_odds."""
DIRECTION_KEY = "_direction_"
"""`max` for a metric that is better when it is larger."""
INITIALIZER_KEY = "_initializer_"
"""The initializer of the weights before an activation that suits it: a name or a part."""
TASK_KEY = "_task_"
"""The task of a model that is not for the data's own: reconstruction or generation."""
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


def check(job: Job) -> None:
    """Checks everything that can be known before the data is loaded.

    Raises:
        UserError: Something is wrong; the message says what, and how to mend it.
    """
    config = job.config
    for where, node in part_nodes(config).items():
        _check_part(where, node)
    if not config.name.strip():
        raise UserError(f"name={config.name}: expected the name of an MLflow experiment.")
    _check_seed(config.seed)
    _check_loop(config.loop)
    _check_sweep(config.sweep)
    _check_data(config.data)
    _check_model(config.model)
    _check_optimizer(config.optimizer)
    _check_schedule(config.schedule)
    check_hooks(config.hook)
    _check_output_directory(job.output_dir)


def batches_per_step(config: Config) -> int:
    """Returns of how many batches the mean gradient makes one step."""
    return config.optimizer.get(ACCUMULATION_KEY) or 1


def task_of(job: Job, data_task: str) -> str:
    """Returns what is learned: what the model is for, else what the data's targets ask for."""
    return str(job.config.model.get(TASK_KEY, data_task))


def check_task(job: Job, data_task: str) -> None:
    """Checks the loss and the watched metric against the task.

    Raises:
        UserError: The loss is not for this task, or no such metric is computed.
    """
    task, loss = task_of(job, data_task), job.choices.get("loss", "loss")
    if not suits(job.config.loss, task):
        group = "model" if TASK_KEY in job.config.model else "data"
        fitting = [name for name in options("loss") if suits(_option("loss", name), task)]
        raise UserError(
            f"loss={loss} is not for {task}, which is the task of "
            f"{group}={job.choices.get(group, group)}. Losses for {task}: {', '.join(fitting)}."
        )
    if STEP_KEY not in job.config.model:
        check_watched(job, ("loss", *metrics_for(job, task)))


def check_watched(job: Job, reported: Sequence[str]) -> None:
    """Checks that the metric that the config watches is one of those that evaluation gives.

    Args:
        job: The config.
        reported: Names without the split, such as `loss`.

    Raises:
        UserError: It is not.
    """
    watched, valid = job.config.loop.watch, [f"val/{name}" for name in reported]
    if watched is not None and watched not in valid:
        raise UserError(
            f"loop.watch={watched}: no such metric is computed. {hint(watched, valid)} "
            "metric=[…] adds others."
        )


def metrics_for(job: Job, task: str) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of the config's metrics that are for a task, by name."""
    return {name: node for name, node in job.config.metric.items() if suits(node, task)}


def suits(node: Mapping[str, Any], task: str) -> bool:
    """Whether a loss or metric is for a task; one that declares none is for all."""
    return task in node.get(TASKS_KEY, [task])


def part_nodes(config: Config) -> dict[str, Mapping[str, Any]]:
    """Returns the nodes of a config's parts by their places.

    Raises:
        UserError: Something else stands there, or a part declares what can't be.
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


def _option(group: str, name: str) -> Mapping[str, Any]:
    text = (config_directory() / group / f"{name}.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    assert isinstance(node, dict)
    return node


def _check_part(where: str, node: Mapping[str, Any]) -> None:
    for place, target in targets(node, where):
        check_target(target, place)
    if where.startswith("metric.") and _is_reserved(where.removeprefix("metric.")):
        raise UserError(
            f"{where}: the step itself gives a value of this name; call the metric otherwise."
        )
    if STEP_KEY in node:
        check_target(node[STEP_KEY], f"{where}.{STEP_KEY}")


def _is_reserved(metric: str) -> bool:
    return metric in ("loss", "grad_norm", "learning_rate") or metric.endswith("_loss")


def _check_seed(seed: int) -> None:
    _at_least("seed", seed, 0)
    if seed >= 2**32:
        raise UserError(f"seed={seed}: expected a number below 2**32.")


def _check_loop(loop: Loop) -> None:
    for key in ("epochs", "keep_checkpoints", "threads"):
        _at_least(f"loop.{key}", getattr(loop, key), 1)
    if loop.threads > _MOST_THREADS:
        raise UserError(
            f"loop.threads={loop.threads}: expected at most {_MOST_THREADS}; the default, 2, "
            "suits most models."
        )
    for key in ("steps", "batches", "patience", "profile"):
        if getattr(loop, key) is not None:
            _at_least(f"loop.{key}", getattr(loop, key), 1)
    if not 0 <= loop.min_change < math.inf:
        raise UserError(f"loop.min_change={loop.min_change}: expected a number of at least 0.")
    if loop.target_loss is not None and not math.isfinite(loop.target_loss):
        raise UserError(f"loop.target_loss={loop.target_loss}: expected a number, or null.")
    for key in ("eval_every", "image_every", "save_every"):
        _check_parsed(f"loop.{key}", getattr(loop, key), Cadence.parse)
    _check_parsed("loop.time_limit", loop.time_limit, parse_seconds)


def _check_sweep(sweep: Sweep) -> None:
    for key in ("workers", "max_failures"):
        if getattr(sweep, key) is not None:
            _at_least(f"sweep.{key}", getattr(sweep, key), 1)
    _check_parsed("sweep.timeout", sweep.timeout, parse_seconds)


def _check_parsed(key: str, value: object, parse: Callable[[object], object]) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise UserError(f"{key}: {error}.") from error


def _check_data(data: Mapping[str, Any]) -> None:
    """Checks the arguments that most sources share."""
    for key, least in (("batch_size", 1), ("split_seed", 0)):
        if key in data:
            _at_least(f"data.{key}", data[key], least)
    for key in ("path", "data_dir"):  # ~user must be a user; the source expands it
        if isinstance(data.get(key), str):
            expanded(data[key], f"data.{key}=")


def _check_schedule(schedule: Mapping[str, Any]) -> None:
    horizon = schedule.get(HORIZON_KEY)
    if horizon is not None:
        _at_least(f"schedule.{HORIZON_KEY}", horizon, 1)


def _check_model(node: Mapping[str, Any]) -> None:
    module, _, name = node["_target_"].rpartition(".")
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    check_arguments(name if module.startswith("expt.parts.models.") else None, arguments)


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    if "learning_rate" not in optimizer:
        key = "optimizer.learning_rate"
        raise UserError(f"{key} is needed and has no value; give one: {key}=…")
    rate = optimizer["learning_rate"]
    if not is_number(rate) or not 0 < rate < math.inf:
        raise UserError(f"optimizer.learning_rate={rate}: expected a positive number.")
    num_batches = optimizer.get(ACCUMULATION_KEY)
    if num_batches is not None:
        _at_least(f"optimizer.{ACCUMULATION_KEY}", num_batches, 2)
    if not isinstance(optimizer.get(DECAY_KEY, False), bool):
        given = optimizer[DECAY_KEY]
        raise UserError(f"optimizer.{DECAY_KEY}={given}: expected true or false.")
    for key in ("clipnorm", "global_clipnorm", "clipvalue"):
        most = optimizer.get(key)  # Keras ignores those that are not positive
        if most is not None and not (is_number(most) and most > 0):
            raise UserError(f"optimizer.{key}={most}: expected a positive number, or null.")


def _check_output_directory(path: Path) -> None:
    existing = next(p for p in (path, *path.parents) if p.exists())
    if not existing.is_dir():
        raise UserError(f"output_dir={path}: {existing} is a file, not a folder.")
    if not os.access(existing, os.W_OK):
        raise UserError(f"output_dir={path}: {existing} can't be written to.")


def _at_least(key: str, value: object, least: int) -> None:
    if not is_count(value, least):
        raise UserError(f"{key}={value}: expected a whole number of at least {least}.")
