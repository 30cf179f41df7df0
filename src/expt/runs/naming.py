"""Makes human-readable names of runs and sweeps from the values that distinguish them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expt.config.flatten import flatten
from expt.config.groups import default_option, is_list_group, option_values, top_level
from expt.config.hashes import has_effect
from expt.config.job import Job
from expt.config.location import options
from expt.config.quoting import values_by_key
from expt.config.schema import PARTS

_LONGEST = 60  # characters; names are also used in paths and tables
_PRESETS = ("experiment", "debug")
_PATH = "data.path"
_ABBREVIATIONS = {
    "learning_rate": "lr",
    "batch_size": "bs",
    "epochs": "ep",
    "seed": "s",
    "weight_decay": "wd",
    "momentum": "mom",
    "dropout": "drop",
    "split_seed": "split",
}


def distinctive_keys(job: Job, varied: Collection[str] = ()) -> list[str]:
    """Returns the keys that distinguish a job from a default one, groups first.

    These are the groups and values that differ from the defaults in `conf/`, and those that vary
    in the job's sweep. Keys that only affect where and how a run is recorded are omitted.

    Args:
        job: The composed job.
        varied: Keys that vary in the job's sweep.
    """
    params = {**job.choices, **job.config.flat()}
    groups = [
        group
        for group, option in job.choices.items()
        if group in varied or option != default_option(group)
    ]
    # Choosing an option of the user's own is no change of the values in its yaml.
    chosen = {group for group, option in job.choices.items() if option not in options(group)}
    typed = [key for key in values_by_key(job.overrides) if key not in chosen]
    keys = [*typed, *_preset_keys(job), *varied]
    values = [
        name
        for key in dict.fromkeys(keys)
        for name in _keys_set_by(key, params)
        if name in varied or params[name] != _default(job, name)
    ]
    found = dict.fromkeys([*sorted(groups, key=_group_rank), *values])
    return [key for key in found if has_effect(key) or key == _PATH]


def run_name(job: Job, keys: Sequence[str], varied: Collection[str] = ()) -> str:
    """Returns a short name such as `cnn-relu-lr0.01-s0`, not yet unique.

    If the name would be longer than 60 characters, whole values are left out: those that vary are
    the last to go.

    Args:
        job: The composed job.
        keys: The keys returned by `distinctive_keys`.
        varied: Keys that vary in the job's sweep.
    """
    params = {**job.choices, **job.config.flat()}
    presets = [job.choices[name] for name in _PRESETS if name in job.choices]
    if presets:  # the name of the preset represents all values that it sets
        own = {*values_by_key(job.overrides), *varied}
        keys = [key for key in keys if key not in _PRESETS and key in own]
    elif "model" not in keys:
        keys = ["model", *keys] if keys else ["data", "model"]
    groups = sorted((key for key in keys if key in job.choices), key=_group_rank)
    values = [key for key in keys if key not in groups and key not in ("seed", _PATH)]
    values.sort(key=lambda key: key not in varied)
    parts = [*((label, False) for label in presets)]
    parts += [(_option_label(job, key), key in varied) for key in groups]
    parts += [(_value_label(key, params[key]), key in varied) for key in values]
    if _PATH in keys and "data" not in groups:
        parts.insert(len(presets), (_option_label(job, "data"), _PATH in varied))
    if "seed" in keys:  # last, so that runs that differ only in their seeds sort together
        parts.append((_value_label("seed", params["seed"]), "seed" in varied))
    return _join(parts)


def sweep_name(varied: Sequence[str]) -> str:
    """Returns a short name of a sweep, made from the keys that vary, such as `act-loss-lr`."""
    keys = [key for key in varied if key != "seed"]
    if not keys and varied:
        return "seeds"
    return _join([(_label(key), True) for key in keys]) if keys else "sweep"


def varied_keys(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Returns the keys whose overrides differ between the jobs of a sweep.

    Args:
        overrides: Overrides of each job.
    """
    jobs = [values_by_key(one) for one in overrides]
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def _group_rank(group: str) -> int:
    return PARTS.index(group) if group in PARTS else len(PARTS)


def _keys_set_by(key: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Yields the keys that an override sets: its own key, or those of the mapping below it."""
    builtin = options(key)
    for name in params:
        is_set = name == key or name.startswith(f"{key}.")
        is_value = "." in name or name == "seed"
        if not is_set or not is_value or name.endswith("_target_"):
            continue
        # As for other groups, choosing an option of the user's own changes none of its values.
        if not is_list_group(key) or name.split(".")[1] in builtin:
            yield name


def _preset_keys(job: Job) -> Iterator[str]:
    for group in _PRESETS:
        values = dict(option_values(group, job.choices.get(group)))
        values.pop("defaults", None)
        yield from flatten(values)


def _default(job: Job, key: str) -> Any:
    """Returns the default of a key in `conf/`; None if there is none."""
    group, _, rest = key.partition(".")
    if group in job.choices:
        return flatten(option_values(group, job.choices[group])).get(rest)
    if is_list_group(group):
        option, _, rest = rest.partition(".")
        return flatten(option_values(group, option)).get(rest)
    return flatten(top_level()).get(key) or flatten(option_values(group, "default")).get(rest)


def _option_label(job: Job, group: str) -> str:
    # The name of the user's file is more specific than the option, such as `csv`.
    path = job.config.data.get("path") if group == "data" else None
    return Path(str(path)).stem if path else job.choices[group]


def _label(key: str) -> str:
    last = key.rpartition(".")[2]
    return _ABBREVIATIONS.get(last, last)


def _value_label(key: str, value: Any) -> str:
    label = _label(key)
    if isinstance(value, bool):
        return label if value else f"no-{label}"
    if value is None:
        return f"no-{label}"
    if isinstance(value, list):
        return f"{label}{'x'.join(map(str, value))}"
    if isinstance(value, float):
        return f"{label}{value:g}"
    separator = "-" if isinstance(value, str) else ""
    return f"{label}{separator}{value}"


def _join(parts: Sequence[tuple[str, bool]]) -> str:
    """Returns a name that is valid as the name of a folder, with at most 60 characters.

    Args:
        parts: The parts of the name, and whether each one varies in the job's sweep.
    """
    labels = [re.sub(r"[^\w.+=-]+", "_", label) for label, _ in parts]
    kept, length = set[int](), -1
    # Whole parts are left out: a part that is cut, such as smoothing0 of smoothing0.1, is wrong.
    for index in sorted(range(len(parts)), key=lambda index: not parts[index][1]):
        if length + 1 + len(labels[index]) <= _LONGEST or not kept:
            kept.add(index)
            length += 1 + len(labels[index])
    name = "-".join(label for index, label in enumerate(labels) if index in kept)
    return name[:_LONGEST].strip("-._") or "run"
