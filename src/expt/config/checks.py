"""Validation of a composed config, as far as possible without TensorFlow and the data.

An invalid config is thus reported within a second, before TensorFlow is imported.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from expt.config.argument_types import check_argument_types
from expt.config.cadence import Cadence, parse_seconds
from expt.config.declarations import (
    LEARNER_KEY,
    TASK_KEY,
    metrics_for,
    part_nodes,
    supports_task,
    task_of,
)
from expt.config.groups import option_values
from expt.config.hooks import check_hooks
from expt.config.instantiate import ACCUMULATION_KEY, DECAY_KEY, HORIZON_KEY, check_target, targets
from expt.config.job import Job
from expt.config.location import options
from expt.config.paths import expand_path
from expt.config.quoting import values_by_key
from expt.config.schema import Loop, Mode, Sweep
from expt.errors import UserError, hint, typed
from expt.parts.models.arguments import check_arguments
from expt.parts.numbers import is_count, is_number

_MAX_THREADS = 256


def check(job: Job) -> None:
    """Checks everything that can be checked before the data is loaded.

    Raises:
        UserError: The config is invalid. The message has the key, the value, what was expected and
            how to fix it.
    """
    config = job.config
    # Parts come first, because the checks below read their nodes as mappings.
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
    check_hooks("hook", config.hook)
    check_hooks("probe", config.probe)
    _check_mode(job)
    _check_output_directory(job.output_dir)


def check_task(job: Job, data_task: str) -> None:
    """Checks that the loss, the probes and the monitored metric suit the task.

    Args:
        job: The job.
        data_task: The task of the data, such as `classification`; a model may replace it.

    Raises:
        UserError: The loss, a probe or every chosen metric does not support the task, or the
            monitored metric is not computed.
    """
    task, loss = task_of(job, data_task), job.choices.get("loss", "loss")
    if not supports_task(job.config.loss, task):
        group = "model" if TASK_KEY in job.config.model else "data"
        fitting = [
            name for name in options("loss") if supports_task(option_values("loss", name), task)
        ]
        raise UserError(
            f"loss={loss} does not support {task}, the task of "
            f"{group}={job.choices.get(group, group)}. Losses for {task}: {', '.join(fitting)}."
        )
    _check_metrics(job, task)
    _check_probes(job, task)
    # A custom learner chooses its own metrics, which are known only once it is built.
    if LEARNER_KEY not in job.config.model:
        check_monitored_metric(job, ("loss", *metrics_for(job, task)))


def _check_metrics(job: Job, task: str) -> None:
    # The metrics that do not support the task are left out silently, as most of a sweep over data
    # sets would be; without any left, `metric=[rmse]` would compute nothing.
    typed = "metric" in values_by_key(job.overrides)
    if typed and job.config.metric and not metrics_for(job, task):
        fitting = [
            name for name in options("metric") if supports_task(option_values("metric", name), task)
        ]
        raise UserError(
            f"metric=[{','.join(job.config.metric)}]: none of them supports {task}, the task of "
            f"data={job.choices.get('data', 'data')}. Metrics for {task}: {', '.join(fitting)}."
        )


def _check_probes(job: Job, task: str) -> None:
    for name, node in job.config.probe.items():
        if not supports_task(node, task):
            fitting = [
                one for one in options("probe") if supports_task(option_values("probe", one), task)
            ]
            group = "model" if TASK_KEY in job.config.model else "data"
            raise UserError(
                f"probe=[{name}] does not support {task}, the task of "
                f"{group}={job.choices.get(group, group)}. Probes for {task}: {', '.join(fitting)}."
            )


def check_monitored_metric(job: Job, reported: Sequence[str]) -> None:
    """Checks that evaluation reports the monitored metric, `loop.watch`.

    Args:
        job: The job.
        reported: The names of the reported metrics without the split, such as `loss`.

    Raises:
        UserError: `loop.watch` is not a reported metric of the validation split.
    """
    monitored, valid = job.config.loop.watch, [f"val/{name}" for name in reported]
    if monitored is not None and monitored not in valid:
        raise UserError(
            f"loop.watch={monitored}: no such metric is computed. {hint(monitored, valid)} "
            "To add metrics, set metric=[…]."
        )


def _check_part(where: str, node: Mapping[str, Any]) -> None:
    for place, target in targets(node, where):
        check_target(target, place)
    check_argument_types(node, where)
    if where.startswith("metric.") and _is_reserved(where.removeprefix("metric.")):
        raise UserError(
            f"{where}: training steps already log a value with this name. Rename the metric."
        )
    if LEARNER_KEY in node:
        check_target(node[LEARNER_KEY], f"{where}.{LEARNER_KEY}")


def _is_reserved(metric: str) -> bool:
    # Learners log the parts of their loss as NAME_loss, such as discriminator_loss.
    return metric in ("loss", "grad_norm", "learning_rate") or metric.endswith("_loss")


def _check_mode(job: Job) -> None:
    mode = job.config.mode
    if mode in (Mode.lr_finder, Mode.gradients) and task_of(job, "") == "generation":
        preset = job.choices.get("debug")
        given = f"debug={preset}" if preset else f"mode={mode}"
        raise UserError(
            f"{given} does not support model={job.choices.get('model', 'model')}: its two networks "
            "are trained against each other, so that neither loss shows how well training works. "
            "Expected a model that is trained with one loss."
        )


def check_trains(job: Job) -> None:
    """Checks that a job of a sweep is one that trains.

    Raises:
        UserError: It checks gradients or draws its schedule instead.
    """
    mode = job.config.mode
    if not mode.trains:
        raise UserError(
            f"mode={mode} (debug={mode}) trains nothing, so that there is nothing to compare in a "
            "sweep. Run it for one config at a time, without -m."
        )


def _check_seed(seed: int) -> None:
    _check_count("seed", seed, 0)
    if seed >= 2**32:  # NumPy's and Keras' global seeds have 32 bits
        raise UserError(f"seed={seed}: expected a number below 2**32.")


def _check_loop(loop: Loop) -> None:
    for key in ("epochs", "keep_checkpoints", "threads"):
        _check_count(f"loop.{key}", getattr(loop, key), 1)
    if loop.threads > _MAX_THREADS:
        raise UserError(
            f"loop.threads={loop.threads}: expected at most {_MAX_THREADS}. The default, 2, "
            "suits most models."
        )
    for key in ("steps", "batches", "patience", "profile"):
        if getattr(loop, key) is not None:
            _check_count(f"loop.{key}", getattr(loop, key), 1)
    if not 0 <= loop.min_change < math.inf:  # NaN fails this comparison, too
        raise UserError(f"loop.min_change={loop.min_change}: expected a number of at least 0.")
    if loop.target_loss is not None and not math.isfinite(loop.target_loss):
        raise UserError(f"loop.target_loss={loop.target_loss}: expected a finite number, or null.")
    for key in ("eval_every", "image_every", "save_every"):
        _check_parsed(f"loop.{key}", getattr(loop, key), Cadence.parse)
    _check_parsed("loop.time_limit", loop.time_limit, parse_seconds)


def _check_sweep(sweep: Sweep) -> None:
    for key in ("workers", "max_failures"):
        if getattr(sweep, key) is not None:
            _check_count(f"sweep.{key}", getattr(sweep, key), 1)
    _check_parsed("sweep.timeout", sweep.timeout, parse_seconds)


def _check_parsed(key: str, value: object, parse: Callable[[object], object]) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise UserError(f"{key}: {error}.") from error


def _check_data(data: Mapping[str, Any]) -> None:
    """Checks the arguments that most data sources share."""
    for key, minimum in (("batch_size", 1), ("split_seed", 0)):
        if key in data:
            _check_count(f"data.{key}", data[key], minimum)
    # Raises an error for an unknown ~user. The source expands the path itself, so that the config,
    # which is recorded, keeps it as typed.
    for key in ("path", "data_dir"):
        if isinstance(data.get(key), str):
            expand_path(data[key], f"data.{key}=")


def _check_schedule(schedule: Mapping[str, Any]) -> None:
    horizon = schedule.get(HORIZON_KEY)
    if horizon is not None:
        _check_count(f"schedule.{HORIZON_KEY}", horizon, 1)


def _check_model(node: Mapping[str, Any]) -> None:
    module, _, name = node["_target_"].rpartition(".")
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    # The arguments of a custom model may have other meanings than those of the built-in models.
    check_arguments(name if module.startswith("expt.parts.models.") else None, arguments)


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    if "learning_rate" not in optimizer:
        key = "optimizer.learning_rate"
        raise UserError(f"{key} is required but has no value. Set it with {key}=…")
    rate = optimizer["learning_rate"]
    if not is_number(rate) or not 0 < rate < math.inf:
        raise UserError(f"optimizer.learning_rate={typed(rate)}: expected a positive number.")
    num_batches = optimizer.get(ACCUMULATION_KEY)
    if num_batches is not None:
        _check_count(f"optimizer.{ACCUMULATION_KEY}", num_batches, 2)
    if not isinstance(optimizer.get(DECAY_KEY, False), bool):
        given = optimizer[DECAY_KEY]
        raise UserError(f"optimizer.{DECAY_KEY}={given}: expected true or false.")
    for key in ("clipnorm", "global_clipnorm", "clipvalue"):
        limit = optimizer.get(key)  # Keras silently ignores limits that are not positive
        if limit is not None and not (is_number(limit) and limit > 0):
            raise UserError(f"optimizer.{key}={limit}: expected a positive number, or null.")


def _check_output_directory(path: Path) -> None:
    # The run creates missing folders, so the nearest existing one must be writable.
    existing = next(p for p in (path, *path.parents) if p.exists())
    if not existing.is_dir():
        raise UserError(f"output_dir={path}: {existing} is a file, not a folder.")
    if not os.access(existing, os.W_OK):
        raise UserError(f"output_dir={path}: {existing} is not writable.")


def _check_count(key: str, value: object, minimum: int) -> None:
    if not is_count(value, minimum):
        raise UserError(f"{key}={typed(value)}: expected a whole number of at least {minimum}.")
