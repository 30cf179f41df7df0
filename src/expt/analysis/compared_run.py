"""Reading of a run for a comparison.

Almost everything is in run.json. For runs of older versions, and for runs that are not finished,
the rest is read from the config and from the end of the journal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

import yaml

from expt.analysis.last_values import last_values
from expt.analysis.values import as_text, plain
from expt.config.flatten import flatten
from expt.config.quoting import unquote
from expt.errors import UserError
from expt.runs.leading import BEST_PREFIX, monitored_metric
from expt.runs.liveness import status_of
from expt.runs.names import name_of
from expt.runs.record_parts import CodeRecord, FindingRecord, GitRecord, Place, Status
from expt.runs.records import RunRecord, read_run

UNREADABLE = "UNREADABLE"
"""The status of a run whose run.json can't be read."""

BEST = BEST_PREFIX
"""The prefix of metrics of the best checkpoint."""

CONFIG_FILE = Path(".hydra") / "config.yaml"
# The loader in C is several times faster than the one in Python; some builds of PyYAML lack it.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """The data of one run that a comparison uses.

    Attributes:
        directory: The directory of the run.
        status: FINISHED, FAILED, KILLED, RUNNING or UNREADABLE.
        name: The name, such as `cnn-relu-lr0.01-s0`; for older runs, that of the directory.
        reason: The reason why the run is not finished or can't be read; None if there is none.
        started: The start in seconds since 1970.
        place: The id of the folder of runs that numbered the run, and its number there.
        experiment: The MLflow experiment, the config key `name`.
        variant: A text that is equal for runs that differ only by their seed.
        seed: The seed.
        params: The parameters by full key; the option of a group is under the group's name.
        overridden: The keys that were given on the command line.
        monitor: The metric that selected the best checkpoint, such as `val/loss`.
        larger_is_better: The names of the metrics for which larger values are better, such as
            `accuracy`, or a full name such as `val/score` if it holds only for that one.
        step: The last recorded step.
        metrics: The last values by full name, and those of the best checkpoint with the prefix
            `best/`.
        costs: The known ones of `steps_per_s`, `seconds`, `parameters` and `peak_memory` (bytes).
        commit: The git commit, with a `+` if there were uncommitted changes.
        code: The hash of each module that the run used; empty if the code was not recorded.
        code_changed_at: The steps at which the run was resumed with changed code.
        findings: What the training doctor found.
    """

    directory: Path
    status: str
    name: str = ""
    reason: str | None = None
    started: float = 0.0
    place: tuple[str | None, int] = (None, 0)
    experiment: str = ""
    variant: str = ""
    seed: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()
    monitor: str | None = None
    larger_is_better: frozenset[str] = frozenset()
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    commit: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    code_changed_at: tuple[int, ...] = ()
    findings: tuple[FindingRecord, ...] = ()


def read_compared(directory: Path) -> ComparedRun:
    """Reads a run; if its run.json is damaged, the result has the status UNREADABLE."""
    try:
        record = read_run(directory)
    except (UserError, OSError) as error:
        return ComparedRun(
            directory=directory,
            status=UNREADABLE,
            name=plain(directory.name),
            reason=plain(str(error)),
        )
    status = status_of(record)
    config = {} if record.params is not None else _config(directory)
    reason = _reason(record, status)
    # The final values are written when training ends. Until then, the journal has the latest ones.
    if record.final is None:
        values, problem = last_values(directory, record.watched or "val/loss")
        step, reason = values.get("step"), reason or problem
    else:
        step, values = record.final.step, dict(record.final.values)
    params = _params(record, config)
    monitor = monitored_metric(record) or params.get("loop.watch")
    return ComparedRun(
        directory=directory,
        status=status,
        name=plain(name_of(record, directory)),
        reason=reason,
        started=record.started,
        place=_place(record.place),
        experiment=record.name or "",
        variant=record.variant_hash or _without_seed(params),
        seed=record.seed,
        params=params,
        overridden=frozenset(
            intern(override.lstrip("+~").partition("=")[0]) for override in record.overrides
        ),
        monitor=monitor if isinstance(monitor, str) else None,
        larger_is_better=_larger_is_better(record, config, monitor, params.get("loop.direction")),
        step=step,
        metrics={
            **_numbers(values, ""),
            **({} if record.best is None else _numbers(record.best.values, BEST)),
        },
        costs=_costs(record, step),
        commit=_commit(record.git),
        code=_modules(record.code),
        code_changed_at=_code_changes(record),
        findings=tuple(record.findings or ()),
    )


def flat_config(directory: Path) -> dict[str, Any]:
    """Returns the config file of a run by full key; empty if it can't be read."""
    return _flat(_config(directory))


def _config(directory: Path) -> dict[str, Any]:
    """Returns the config file of a run; empty if it can't be read."""
    # A comparison needs it only for runs from before run.json had `params`.
    try:
        text = (directory / CONFIG_FILE).read_text(encoding="utf-8")
        config = yaml.load(text, Loader=_YAML_LOADER)  # noqa: S506  one of the safe loaders
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return flatten(config)
    # A YAML file written by hand may have keys that are not strings, or contain itself.
    except (AttributeError, TypeError, RecursionError):
        return {}


def _params(record: RunRecord, config: Mapping[str, Any]) -> dict[str, Any]:
    params = record.params
    if params is None:
        values = {k: v for k, v in _flat(config).items() if not k.endswith("_target_")}
        params = {**record.choices, **values}
    # The class of a custom part is known from the overrides alone: model=custom model._target_=…
    for override in record.overrides:
        key, _, value = override.partition("=")
        if key.endswith("_target_"):
            params = {**params, key: unquote(value)}
    if record.data.fingerprint:
        params = {**params, "data.fingerprint": record.data.fingerprint[:8]}
    return {intern(key): _interned(value) for key, value in params.items()}


def _interned(value: Any) -> Any:
    # Thousands of runs have the same texts, which would otherwise be stored once for each.
    return intern(value) if isinstance(value, str) else value


def _without_seed(params: Mapping[str, Any]) -> str:
    return ",".join(f"{k}={as_text(v)}" for k, v in sorted(params.items()) if k != "seed")


def _larger_is_better(
    record: RunRecord, config: Mapping[str, Any], monitor: object, direction: object
) -> frozenset[str]:
    """Returns the metrics for which larger values are better.

    They are those that run.json lists, or for older runs the `_direction_` of each metric's config.
    An explicit `loop.direction` overrides both for the monitored metric.
    """
    names = record.larger_is_better
    if names is None:
        nodes = config.get("metric")
        names = [
            str(name)
            for name, node in (nodes.items() if isinstance(nodes, Mapping) else ())
            if isinstance(node, Mapping) and node.get("_direction_") == "max"
        ]
    if isinstance(monitor, str) and direction is not None:
        names = [name for name in names if name != monitor.rpartition("/")[2]]
        names += [monitor] if direction == "max" else []
    return frozenset(map(intern, names))


def _place(place: Place | None) -> tuple[str | None, int]:
    return (None, 0) if place is None else (intern(place.id), place.number)


def _reason(record: RunRecord, status: str) -> str | None:
    if status == Status.FINISHED:
        return None
    # A process that was killed outright, or lost its machine, could not record its end.
    if status == Status.KILLED and record.status is Status.RUNNING:
        return "the process ended without closing the run"
    error = (record.error or "").strip()
    return plain(error.splitlines()[0]) if error else None


def _numbers(values: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {
        intern(prefix + name): float(value)
        for name, value in values.items()
        if "/" in name
        and not name.startswith("perf/")
        and isinstance(value, int | float)
        and math.isfinite(value)
    }


def _costs(record: RunRecord, step: object) -> dict[str, float]:
    """Returns the known costs of a run; times in seconds, memory in bytes."""
    # A run may be resumed days later: the time in between is no cost, so only training counts.
    training = record.training_seconds
    whole = None if record.ended is None else record.ended - record.started
    found = {
        "steps_per_s": step / training if isinstance(step, int) and training else None,
        "seconds": training if record.resumed else whole,
        "parameters": record.parameters,
        "peak_memory": record.peak_memory,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _modules(code: CodeRecord | None) -> Mapping[str, str]:
    return {} if code is None else _shared(tuple(code.modules.items()))


@lru_cache(maxsize=1024)
def _shared(modules: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Returns the same mapping for equal modules, which thousands of runs have in common."""
    return dict(modules)


def _code_changes(record: RunRecord) -> tuple[int, ...]:
    return tuple(one.step for one in record.resumed if one.code is not None and one.step)


def _commit(git: GitRecord | None) -> str | None:
    if git is None or git.commit is None:
        return None
    return plain(git.commit) + ("+" if git.dirty else "")
