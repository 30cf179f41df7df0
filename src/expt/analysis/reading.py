"""What a comparison needs of a run, read from its run.json; else from its config and journal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

import yaml

from expt.analysis.values import as_text, plain
from expt.config.flatten import flatten
from expt.config.quoting import unquoted
from expt.errors import UserError
from expt.record.journal import FILE_NAME, complete_size, read_journal
from expt.runs.leading import BEST_PREFIX, watched_metric
from expt.runs.liveness import status_of
from expt.runs.names import name_of
from expt.runs.record_parts import CodeRecord, GitRecord, Place, Status
from expt.runs.records import RunRecord, read_run

UNREADABLE = "UNREADABLE"
"""The status of a run whose record is damaged."""

BEST = BEST_PREFIX

CONFIG_FILE = Path(".hydra") / "config.yaml"
_TAILS = (1 << 16, 1 << 20)  # bytes from a journal's end in which its last values are looked for
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One run.

    Attributes:
        directory: Its directory.
        name: What people call it, such as `cnn-relu-lr0.01-s0`; older ones by their directory.
        status: FINISHED, FAILED, KILLED, RUNNING or UNREADABLE.
        reason: Why it is not finished, or can't be read; None if there is nothing to tell.
        started: Seconds since 1970.
        place: The id of the folder of runs that numbered it, and its number there.
        experiment: Its `name`.
        variant: Equal for the runs that differ by their seed alone.
        seed: Its seed.
        params: Its parameters by full key; a group's option under the group's name.
        overridden: The keys that were given on the command line.
        watched: The metric that chose its best model, such as `val/loss`.
        larger_is_better: Names of metrics, such as `accuracy`, or `val/loss` if it is only that.
        step: The last recorded step.
        metrics: The last values, and the kept model's with `best/` before their names.
        costs: `steps_per_s`, `seconds`, `parameters`, `peak_memory` (bytes), as far as known.
        commit: The code's, with a `+` if files differed from it.
        code: The hash of each of its modules; none if that was not recorded.
        code_changed_at: The steps from which it continued with other code.
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
    watched: str | None = None
    larger_is_better: frozenset[str] = frozenset()
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    commit: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    code_changed_at: tuple[int, ...] = ()


def read_compared(directory: Path) -> ComparedRun:
    """Reads a run; one that is damaged is returned as UNREADABLE."""
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
    if record.final is None:
        values, trouble = last_values(directory, record.watched or "val/loss")
        step, reason = values.get("step"), reason or trouble
    else:
        step, values = record.final.step, dict(record.final.values)
    params = _params(record, config)
    watched = watched_metric(record) or params.get("loop.watch")
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
        watched=watched if isinstance(watched, str) else None,
        larger_is_better=_larger_is_better(record, config, watched, params.get("loop.direction")),
        step=step,
        metrics={
            **_numbers(values, ""),
            **({} if record.best is None else _numbers(record.best.values, BEST)),
        },
        costs=_costs(record, step),
        commit=_commit(record.git),
        code=_modules(record.code),
        code_changed_at=_code_changes(record),
    )


def last_values(directory: Path, wanted: str) -> tuple[dict[str, Any], str | None]:
    """Returns the last values in a run's journal, and what is wrong with it, if anything.

    Only the journal's end is read: a little of it, or more if the wanted metric is not in that.
    """
    path, values = directory / FILE_NAME, dict[str, Any]()
    try:
        end = complete_size(path)
        for size in _TAILS:
            start = _line_start(path, max(0, end - size))
            for record in read_journal(path, start, end) if end else ():
                values |= record
            if wanted in values or start == 0:
                break
    except (UserError, OSError) as error:
        return values, plain(str(error))
    return values, None


def flat_config(directory: Path) -> dict[str, Any]:
    """Returns a run's config as it is written, by full key; empty if it can't be read."""
    return _flat(_config(directory))


def _line_start(path: Path, start: int) -> int:
    """The first byte of a line from some byte on."""
    if start == 0:
        return 0
    with path.open("rb") as file:
        file.seek(start - 1)
        file.readline()
        return file.tell()


def _config(directory: Path) -> dict[str, Any]:
    """A config as it is written. Runs recorded before run.json had `params` need it."""
    try:
        text = (directory / CONFIG_FILE).read_text(encoding="utf-8")
        config = yaml.load(text, Loader=_YAML_LOADER)  # noqa: S506  one of the safe loaders
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return flatten(config)
    except (AttributeError, TypeError, RecursionError):  # keys that are no texts
        return {}


def _params(record: RunRecord, config: Mapping[str, Any]) -> dict[str, Any]:
    params = record.params
    if params is None:
        values = {k: v for k, v in _flat(config).items() if not k.endswith("_target_")}
        params = {**record.choices, **values}
    for override in record.overrides:  # model=custom model._target_=…
        key, _, value = override.partition("=")
        if key.endswith("_target_"):
            params = {**params, key: unquoted(value)}
    if record.data.fingerprint:
        params = {**params, "data.fingerprint": record.data.fingerprint[:8]}
    return {intern(key): _interned(value) for key, value in params.items()}


def _interned(value: Any) -> Any:
    """Thousands of runs have the same texts."""
    return intern(value) if isinstance(value, str) else value


def _without_seed(params: Mapping[str, Any]) -> str:
    return ",".join(f"{k}={as_text(v)}" for k, v in sorted(params.items()) if k != "seed")


def _larger_is_better(
    record: RunRecord, config: Mapping[str, Any], watched: object, direction: object
) -> frozenset[str]:
    names = record.larger_is_better
    if names is None:
        nodes = config.get("metric")
        names = [
            str(name)
            for name, node in (nodes.items() if isinstance(nodes, Mapping) else ())
            if isinstance(node, Mapping) and node.get("_direction_") == "max"
        ]
    if isinstance(watched, str) and direction is not None:
        names = [name for name in names if name != watched.rpartition("/")[2]]
        names += [watched] if direction == "max" else []
    return frozenset(map(intern, names))


def _place(place: Place | None) -> tuple[str | None, int]:
    return (None, 0) if place is None else (intern(place.id), place.number)


def _reason(record: RunRecord, status: str) -> str | None:
    if status == Status.FINISHED:
        return None
    if status == Status.KILLED and record.status is Status.RUNNING:
        return "its process ended without closing the run"
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
    """The time between a resumed run's processes is no cost: there, only training counts."""
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
    """Thousands of runs have the same modules."""
    return dict(modules)


def _code_changes(record: RunRecord) -> tuple[int, ...]:
    return tuple(one.step for one in record.resumed if one.code is not None and one.step)


def _commit(git: GitRecord | None) -> str | None:
    if git is None or git.commit is None:
        return None
    return plain(git.commit) + ("+" if git.dirty else "")
