"""Filters on runs, such as `act=relu,tanh`, `name=losses` or `status=FAILED`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from expt.analysis.values import as_text
from expt.config.flags import parse_output_dir
from expt.config.quoting import split_at_commas, unquote
from expt.errors import UserError, hint, nearest

_MOST_NAMED = 20  # values in a message


class Filterable(Protocol):
    """The properties of a run that filters use."""

    @property
    def experiment(self) -> str:
        """The MLflow experiment, which the filter `name` selects."""

    @property
    def status(self) -> str:
        """The status, such as FINISHED."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters by full key."""


_Run = TypeVar("_Run", bound=Filterable)


def filtered(runs: Sequence[_Run], filters: Sequence[str]) -> Sequence[_Run]:
    """Returns the runs that pass all filters.

    Args:
        runs: The runs to filter.
        filters: Filters `KEY=VALUE` or `KEY=VALUE,VALUE`, where KEY is a parameter, `name` or
            `status`.

    Raises:
        UserError: No run has the parameter, or none has one of the values.
    """
    for text in filters:
        key, _, wanted = text.partition("=")
        values = [_value(run, key) for run in runs]
        known = {"name", "status", *(key for run in runs for key in run.params)}
        if key not in known:
            near = nearest(key, known)
            question = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"{text}: no run has a parameter {key!r}.{question} Expected a parameter of the "
                "runs, such as act, optimizer.learning_rate or seed; or name or status."
            )
        # The whole text is an option too, since a value such as [128,64] contains commas itself.
        options = {_normal(unquote(one)) for one in (wanted, *split_at_commas(wanted))}
        kept = [run for run, value in zip(runs, values, strict=True) if value in options]
        if not kept:
            present = sorted({value for value in values if value is not None})
            more = len(present) - _MOST_NAMED
            tail = f" (and {more} more)" if more > 0 else ""
            raise UserError(
                f"{text}: no run has this value. {hint(wanted, present[:_MOST_NAMED])[:-1]}{tail}."
            )
        runs = kept
    return runs


def _value(run: Filterable, key: str) -> str | None:
    if key == "name":
        return run.experiment
    if key == "status":
        return run.status
    return _normal(run.params[key]) if key in run.params else None


def _normal(value: Any) -> str:
    """Returns one text for all spellings of a value: `1e-3` and `0.001`, `[1, 2]` and `[1,2]`."""
    text = as_text(value)
    try:
        return as_text(float(text))
    except ValueError:
        return text.replace(" ", "") if text.startswith("[") else text


def split_arguments(arguments: Sequence[str]) -> tuple[Path, list[str], list[str]]:
    """Separates the arguments of a command.

    Returns:
        The output directory (default `outputs`), the names, and the filters.
    """
    # The folder of a job, such as 3_act=relu, contains an equals sign as filters do.
    output_dir, names, filters = Path("outputs"), list[str](), list[str]()
    for text in arguments:
        key, equals, value = text.partition("=")
        if key == "output_dir" and equals:
            output_dir = parse_output_dir(value)
        elif equals and "/" not in key and not Path(text).is_dir():
            filters.append(text)
        else:
            names.append(text)
    return output_dir, names, filters
