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
from expt.runs.find import read_run
from expt.runs.kinds import wrong_place
from expt.runs.life import status_of

UNREADABLE = "UNREADABLE"
"""The status of a run whose record is damaged."""

BEST = "best/"
"""What the name of a metric begins with where it is that of the kept model, the best one."""

CONFIG_FILE = Path(".hydra") / "config.yaml"
_TAILS = (1 << 16, 1 << 20)  # bytes from a journal's end in which its last values are looked for
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OF_COMPARED: Mapping[str, Any] = {
    **dict.fromkeys(("name", "run_name", "variant_hash", "error", "watched"), (None, str)),
    **dict.fromkeys(("choices", "params", "best", "final", "git", "data"), (None, dict)),
    **dict.fromkeys(("overrides", "larger_is_better"), (None, [str])),
    **dict.fromkeys(("seed", "parameters", "peak_memory"), (None, int)),
    "training_seconds": (None, float),
    "code": (None, {"hash": str, "modules": {str: str}}),
    "resumed": (None, [{"step": (None, int), "code": (None, dict)}]),
}


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
        record = read_run(directory, directory).record
        wrong = wrong_place(record, _OF_COMPARED)
        if wrong is not None:
            raise UserError(f"{directory / 'run.json'} is damaged: {wrong!r} is wrong.")
    except (UserError, OSError) as error:
        return ComparedRun(
            directory=directory,
            status=UNREADABLE,
            name=plain(directory.name),
            reason=plain(str(error)),
        )
    status = status_of(record)
    config = {} if "params" in record else _config(directory)
    final, reason = record.get("final"), _reason(record, status)
    if final is None:
        final, trouble = last_values(directory, record.get("watched") or "val/loss")
        reason = reason or trouble
    params = _params(record, config)
    watched = (
        (record.get("best") or {}).get("watched")
        or record.get("watched")
        or params.get("loop.watch")
    )
    return ComparedRun(
        directory=directory,
        status=status,
        name=plain(record.get("run_name") or directory.name),
        reason=reason,
        started=float(record["started"]),
        place=_place(record.get("place")),
        experiment=record.get("name") or "",
        variant=record.get("variant_hash") or _without_seed(params),
        seed=record.get("seed"),
        params=params,
        overridden=frozenset(
            intern(override.lstrip("+~").partition("=")[0])
            for override in record.get("overrides") or ()
        ),
        watched=watched if isinstance(watched, str) else None,
        larger_is_better=_larger_is_better(record, config, watched, params.get("loop.direction")),
        step=final.get("step"),
        metrics={
            **_numbers(final, ""),
            **_numbers(record.get("best") or {}, BEST),
        },
        costs=_costs(record, final.get("step")),
        commit=_commit(record.get("git") or {}),
        code=_modules(record.get("code") or {}),
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


def _params(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    params = record.get("params")
    if params is None:
        values = {k: v for k, v in _flat(config).items() if not k.endswith("_target_")}
        params = {**(record.get("choices") or {}), **values}
    for override in record.get("overrides") or ():  # model=custom model._target_=…
        key, _, value = override.partition("=")
        if key.endswith("_target_"):
            params = {**params, key: unquoted(value)}
    fingerprint = (record.get("data") or {}).get("fingerprint")
    if isinstance(fingerprint, str):
        params = {**params, "data.fingerprint": fingerprint[:8]}
    return {intern(key): _interned(value) for key, value in params.items()}


def _interned(value: Any) -> Any:
    """Thousands of runs have the same texts."""
    return intern(value) if isinstance(value, str) else value


def _without_seed(params: Mapping[str, Any]) -> str:
    return ",".join(f"{k}={as_text(v)}" for k, v in sorted(params.items()) if k != "seed")


def _larger_is_better(
    record: Mapping[str, Any], config: Mapping[str, Any], watched: object, direction: object
) -> frozenset[str]:
    names = record.get("larger_is_better")
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


def _place(place: Mapping[str, Any] | None) -> tuple[str | None, int]:
    return (None, 0) if place is None else (intern(place["id"]), place["number"])


def _reason(record: Mapping[str, Any], status: str) -> str | None:
    if status == "FINISHED":
        return None
    if status == "KILLED" and record["status"] == "RUNNING":
        return "its process ended without closing the run"
    error = str(record.get("error") or "").strip()
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


def _costs(record: Mapping[str, Any], step: object) -> dict[str, float]:
    """The time between a resumed run's processes is no cost: there, only training counts."""
    training, ended = record.get("training_seconds"), record.get("ended")
    whole = None if ended is None else ended - record["started"]
    found = {
        "steps_per_s": step / training if isinstance(step, int) and training else None,
        "seconds": training if record.get("resumed") else whole,
        "parameters": record.get("parameters"),
        "peak_memory": record.get("peak_memory"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _modules(code: Mapping[str, Any]) -> Mapping[str, str]:
    return _shared(tuple(code.get("modules", {}).items()))


@lru_cache(maxsize=1024)
def _shared(modules: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Thousands of runs have the same modules."""
    return dict(modules)


def _code_changes(record: Mapping[str, Any]) -> tuple[int, ...]:
    entries = record.get("resumed") or ()
    return tuple(entry["step"] for entry in entries if entry.get("code") and entry.get("step"))


def _commit(git: Mapping[str, Any]) -> str | None:
    if "commit" not in git:
        return None
    return plain(str(git["commit"])) + ("+" if git.get("dirty") else "")
