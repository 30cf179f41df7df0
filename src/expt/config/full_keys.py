"""Suggestions of full keys for short or wrong ones: `loop.epochs` for `epochs` or `epoch`."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from expt.config.groups import default_option, groups, option_values, top_level
from expt.config.location import options
from expt.config.overrides import LISTS_OF_TEXTS

_SYNONYMS = {
    "activation": "act",
    "bs": "batch_size",
    "batch": "batch_size",
    "dataset": "data",
    "epoch": "epochs",
    "experiment_name": "name",
    "hidden": "units",
    "lr": "learning_rate",
    "metrics": "metric",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "opt": "optimizer",
    "out": "output_dir",
    "output": "output_dir",
    "random_seed": "seed",
    "scheduler": "schedule",
    "step": "steps",
    "max_steps": "steps",
    "wd": "weight_decay",
}
"""The names of some keys, or of their last parts, by their names in other programs."""
_MAX_SUGGESTIONS = 3


def suggest_key(key: str, value: str | None, chosen: Iterable[str] = ()) -> str | None:
    """Returns a question that suggests the full keys for a short or wrong key.

    Args:
        key: The key as typed: a short one, such as `epochs`, or a wrong one, such as `loop.lr`.
        value: The value as typed; None if it is not known.
        chosen: The full keys of the current config, which are suggested first.

    Returns:
        A question such as `Did you mean loop.epochs=10?`, or None if no key has the same last part.
    """
    shown = "…" if value is None else value
    texts = [f"{full}={shown}{of_options}" for full, of_options in _full_keys(key, chosen)]
    return f"Did you mean {' or '.join(texts[:_MAX_SUGGESTIONS])}?" if texts else None


def is_list_key(key: str) -> bool:
    """Whether a full key has a list as its value in any option."""
    return key in LISTS_OF_TEXTS or any(map(_is_list, _values_in_options().get(key, {}).values()))


def suggest_group(option: str) -> str | None:
    """Returns a question that suggests the groups with an option of this name, or None."""
    found = [group for group in groups() if option in options(group)]
    return f"Did you mean {' or '.join(f'{group}={option}' for group in found)}?" if found else None


def _full_keys(key: str, chosen: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields full keys, each with a text on the options that have it if the default one lacks it.

    Keys at the top level come first, then those of the current config, then those of the default
    options, and only without any of these, keys of other options.
    """
    last = key.rpartition(".")[2].lower().replace("-", "_")
    names = [last, _SYNONYMS.get(last, last)]
    # "data" and "seed" are full keys themselves.
    top = [name for name in dict.fromkeys(names) if name in groups() or name in top_level()]
    known = top or [full for full in chosen if full.rpartition(".")[2] in names]
    known = [full for full in known if full not in (key, "defaults", "hydra")]
    if known and not last.startswith("_"):
        yield from ((full, "") for full in known)
        return
    others = {
        full: values
        for full, values in _values_in_options().items()
        if full.partition(".")[2] in names
    }
    usual = [full for full in others if default_option(full.partition(".")[0]) in others[full]]
    yield from ((full, "") for full in usual)
    for full, values in others.items() if not usual else ():
        shown = ", ".join(map(str, list(values)[:_MAX_SUGGESTIONS]))
        yield full, f" with {full.partition('.')[0]}={shown}"


@cache
def _values_in_options() -> Mapping[str, Mapping[str | None, object]]:
    """Returns the values in all options, by full key and option; for `sweep.*`, by None."""
    found: dict[str, dict[str | None, object]] = {}
    for group in groups():
        if default_option(group) is None:
            continue  # presets and groups of lists, whose options have no keys `GROUP.KEY`
        for option in options(group):
            for key, value in option_values(group, option).items():
                if not key.startswith("_"):
                    found.setdefault(f"{group}.{key}", {})[option] = value
    of_sweep = top_level()["sweep"].items()
    return found | {f"sweep.{key}": {None: value} for key, value in of_sweep}


def _is_list(value: object) -> bool:
    return isinstance(value, list)
