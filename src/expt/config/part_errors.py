"""Messages for errors that a user's own part raised: the part, the file and line, and the error."""

import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from expt.config.allowed import is_allowed_by_user
from expt.config.paths import relative_path


class _Place(NamedTuple):
    """A line of a user's code that ran when an error was raised; `function` is qualified."""

    file: str
    line: int
    function: str


def describe_part_error(
    error: BaseException, parts: Mapping[str, str], reason: str | None = None
) -> str | None:
    """Describes an error that was raised in a user's own code.

    Args:
        error: The error.
        parts: The target of each part that may have raised it, by key, such as `loss`.
        reason: The error's message, if it is not its text.

    Returns:
        A text such as `loss: my_project/losses.py, line 6: AttributeError: …`; None if no line of
        the user's own code ran when the error was raised.
    """
    places = list(_places(error))
    if not places:
        return None
    file, line, _ = places[-1]
    where = _part_of(places, parts)
    text = reason if reason is not None else str(error)
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    stop = "" if message.endswith((".", "!", "?")) else "."
    return (
        f"{where + ': ' if where else ''}{relative_path(file)}, line {line}: {message}{stop} "
        "HYDRA_FULL_ERROR=1 shows the traceback."
    )


def targets_of(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Returns the target of each part, and the learner that a model names, by key."""
    return {
        where: str(node[key])
        for where, node in nodes.items()
        for key in ("_target_", "_step_")
        if key in node
    }


def _places(error: BaseException) -> Iterator[_Place]:
    """Yields the lines of the user's modules that ran when an error was raised, innermost last."""
    files = {
        str(getattr(module, "__file__", None))
        for name, module in list(sys.modules.items())
        if is_allowed_by_user(name)
    }
    # AutoGraph runs a translation of the code; it records the lines of the original.
    translated = getattr(getattr(error, "ag_error_metadata", None), "translated_stack", None)
    for frame in reversed(translated or []):
        if frame.filename in files:
            yield _Place(frame.filename, frame.lineno, frame.function_name)
    if translated is None:
        for one, line in traceback.walk_tb(error.__traceback__):
            if one.f_code.co_filename in files:
                yield _Place(one.f_code.co_filename, line, one.f_code.co_qualname)


def _part_of(places: list[_Place], parts: Mapping[str, str]) -> str | None:
    """Returns the key of the innermost part that was running; None if it is unknown."""
    if len(parts) == 1:
        return next(iter(parts))
    for place in reversed(places):
        for where, target in parts.items():
            module, _, name = target.rpartition(".")
            file = getattr(sys.modules.get(module), "__file__", None)
            if file == place.file and f"{place.function}.".startswith(f"{name}."):
                return where
    return None
