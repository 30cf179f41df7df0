"""Expansion of a sweep's overrides into a grid of jobs, with the keys of `sweep.zip` paired."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

from hydra.core.override_parser.types import Override

from expt.config.overrides import normalize
from expt.errors import UserError, hint


def expand(overrides: Sequence[Override], zipped: Any) -> list[list[str]]:
    """Returns the overrides of each job of a grid; the values of the last key vary fastest.

    Args:
        overrides: The overrides as parsed by Hydra.
        zipped: The value of `sweep.zip`: keys whose values are paired like the arguments of `zip`,
            such as `["act", "loss"]`, or a list of such lists; None or empty for none.

    Raises:
        UserError: `zipped` is malformed, a zipped key has a single value, zipped keys have
            different numbers of values, or two jobs are equal.
    """
    axes: dict[str, list[list[str]]] = {}
    for override in overrides:  # a later override of a key replaces an earlier one
        # Normalized again, because Hydra's sweep functions, such as choice, remove quotes.
        texts = normalize(_values(override), multirun=False)
        axes[override.get_key_element()] = [[text] for text in texts]
    typed = {key.lstrip("+"): key for key in axes}  # sweep.zip names keys without their +
    for group in _groups(zipped):
        keys = [typed.get(key, key) for key in group]
        _check_zipped(keys, axes)
        first, *others = keys
        axes[first] = [
            [one for part in parts for one in part]
            for parts in zip(*(axes[key] for key in keys), strict=True)
        ]
        for key in others:
            del axes[key]
    jobs = [[one for part in parts for one in part] for parts in product(*axes.values())]
    for job, times in Counter(map(tuple, jobs)).items():
        if times > 1:
            raise UserError(
                f"{' '.join(job)}: the sweep has {times} jobs with these values. List each value "
                "once."
            )
    return jobs


def _values(override: Override) -> list[str]:
    """Returns one override for each value of an override.

    Raises:
        UserError: The values are an interval, which can't be enumerated.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a grid can't cover an interval. Expected a list of values, "
            f"such as {key}=0.1,0.2 or {key}=range(1,5)."
        )
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _groups(zipped: Any) -> list[list[str]]:
    groups = zipped if _is_list(zipped) and any(map(_is_list, zipped)) else [zipped or []]
    if not all(_is_list(group) and all(isinstance(key, str) for key in group) for group in groups):
        raise UserError(
            f"sweep.zip={zipped}: expected keys, such as [act,loss], or lists of keys, such as "
            "[[act,loss],[model.units,seed]]."
        )
    keys = Counter(key for group in groups for key in group)
    # A key is part of one axis of the grid, so it can be in one group only.
    if twice := [key for key, number in keys.items() if number > 1]:
        raise UserError(f"sweep.zip={zipped}: {twice[0]} occurs twice; expected each key once.")
    return [list(group) for group in groups if group]


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check_zipped(keys: Sequence[str], axes: dict[str, list[list[str]]]) -> None:
    for key in keys:
        if key not in axes or len(axes[key]) < 2:
            swept = [name for name, values in axes.items() if len(values) > 1]
            raise UserError(
                f"sweep.zip={list(keys)}: {key} needs several values, to be paired with those "
                f"of the other keys. Set them with {key}=…,…. {hint(key, swept)}"
            )
    numbers = {key: len(axes[key]) for key in keys}
    if len(set(numbers.values())) > 1:
        counts = ", ".join(f"{key} has {number}" for key, number in numbers.items())
        raise UserError(
            f"sweep.zip={list(keys)}: expected the same number of values for each key; {counts}."
        )
