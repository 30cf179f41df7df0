"""The jobs of a sweep: every combination of its values, but for keys that go in step."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

from hydra.core.override_parser.types import Override

from expt.config.overrides import normalize
from expt.errors import UserError, hint


def expand(overrides: Sequence[Override], zipped: Any) -> list[list[str]]:
    """Returns the overrides of each job; the values of the last key change first.

    Args:
        overrides: As Hydra has parsed them.
        zipped: Keys whose values go in step, `["act", "loss"]`, or some lists of such keys: their
            first values belong together, their second ones, and so on.

    Raises:
        UserError: A zipped key is not swept, or has another number of values; two jobs are the
            same.
    """
    axes: dict[str, list[list[str]]] = {}
    for override in overrides:
        # Hydra's functions, such as choice, drop the quotes of their values.
        texts = normalize(_values(override), multirun=False)
        axes[override.get_key_element()] = [[text] for text in texts]
    typed = {key.lstrip("+"): key for key in axes}
    for group in _groups(zipped):
        keys = [typed.get(key, key) for key in group]
        _check(keys, axes)
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
                f"{' '.join(job)}: {times} jobs of the sweep would be this one; give each value "
                "once."
            )
    return jobs


def _values(override: Override) -> list[str]:
    """Returns the override of each value.

    Raises:
        UserError: They are those of an interval, which has no end of them.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a grid can't have every number of an interval. Expected "
            f"single values, such as {key}=0.1,0.2 or {key}=range(1,5)."
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
    if twice := [key for key, number in keys.items() if number > 1]:
        raise UserError(f"sweep.zip={zipped}: {twice[0]} is there twice; expected each key once.")
    return [list(group) for group in groups if group]


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check(keys: Sequence[str], axes: dict[str, list[list[str]]]) -> None:
    for key in keys:
        if key not in axes or len(axes[key]) < 2:
            swept = [name for name, values in axes.items() if len(values) > 1]
            raise UserError(
                f"sweep.zip={list(keys)}: {key} has no values to go in step with the others; give "
                f"some: {key}=…,…. {hint(key, swept)}"
            )
    numbers = {key: len(axes[key]) for key in keys}
    if len(set(numbers.values())) > 1:
        counts = ", ".join(f"{key} has {number}" for key, number in numbers.items())
        raise UserError(f"sweep.zip={list(keys)}: expected as many values of each; {counts}.")
