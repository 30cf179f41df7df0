"""Checks of a part's arguments against the simple annotations of its constructor.

The annotations are read from the source, so that a wrong value is reported before TensorFlow is
imported. Annotations other than numbers, booleans, texts, null, and lists of these are not checked.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from expt.config.allowed import is_allowed_by_user
from expt.config.constructors import read_constructor
from expt.errors import UserError, typed
from expt.parts.numbers import is_number

# Other parts of expt have checks of their own, whose messages say more.
_WITHOUT_CHECKS = ("expt.parts.data.synthetic.", "expt.parts.hooks.")
_LISTS = ("Sequence", "list", "tuple", "Iterable", "Collection")


class _Kind(NamedTuple):
    """A type of values: what it is called, also in the plural, and a check."""

    name: str
    plural: str
    accepts: Callable[[object], bool]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SCALARS = {
    "int": _Kind("a whole number", "whole numbers", _is_int),
    "float": _Kind("a number", "numbers", is_number),
    "bool": _Kind("true or false", "true or false", lambda value: isinstance(value, bool)),
    "str": _Kind("text", "texts", lambda value: isinstance(value, str)),
    "None": _Kind("null", "null", lambda value: value is None),
}


class _NotSimpleError(Exception):
    """An annotation that is not checked."""


def check_argument_types(node: Mapping[str, Any], where: str) -> None:
    """Checks the arguments in a node against the annotations of its target.

    Args:
        node: The node of a part of the user's, or of a part of expt without checks of its own.
        where: The key of the node, for messages.

    Raises:
        UserError: A value has another type than its argument.
    """
    target = str(node["_target_"])
    if not is_allowed_by_user(target) and not target.startswith(_WITHOUT_CHECKS):
        return
    constructor = read_constructor(target)
    for key, value in node.items():
        argument = constructor.arguments.get(key) if constructor is not None else None
        if argument is None or argument.annotation is None:
            continue
        # `x: float = None` is usual.
        if value is None and _is_null(argument.default):
            continue
        try:
            kinds = list(_kinds(argument.annotation))
        except _NotSimpleError:
            continue
        is_part = isinstance(value, Mapping) and "_target_" in value
        if not is_part and not any(kind.accepts(value) for kind in kinds):
            names = " or ".join(dict.fromkeys(kind.name for kind in kinds))
            is_quotable = names == "text" and value is not None
            quote = f" Quote it: '{where}.{key}=\"{value}\"'" if is_quotable else ""
            raise UserError(f"{where}.{key}={_as_typed(value)}: expected {names}.{quote}")


def _is_null(default: ast.expr | None) -> bool:
    return isinstance(default, ast.Constant) and default.value is None


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_as_typed, value))}]"
    return typed(value)


def _kinds(node: ast.expr) -> Iterator[_Kind]:
    """Yields the types of an annotation.

    Raises:
        _NotSimpleError: One of them is not simple.
    """
    if isinstance(node, ast.BinOp):
        yield from _kinds(node.left)
        yield from _kinds(node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # in quotes
        yield from _kinds(ast.parse(node.value, mode="eval").body)
    elif isinstance(node, ast.Constant) and node.value is None:
        yield _SCALARS["None"]
    elif isinstance(node, ast.Name) and node.id in _SCALARS:
        yield _SCALARS[node.id]
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        yield from _of_subscript(node.value.id, node.slice)
    else:
        raise _NotSimpleError


def _of_subscript(name: str, inside: ast.expr) -> Iterator[_Kind]:
    inner = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if name in ("Optional", "Union"):
        for one in inner:
            yield from _kinds(one)
        if name == "Optional":
            yield _SCALARS["None"]
    elif name in _LISTS:
        items = [one for one in inner if not (isinstance(one, ast.Constant) and one.value is ...)]
        kinds = [kind for one in items for kind in _kinds(one)]
        names = " or ".join(dict.fromkeys(kind.plural for kind in kinds))
        yield _Kind(
            f"a list of {names}",
            f"lists of {names}",
            lambda value: (
                isinstance(value, list)
                and all(any(kind.accepts(item) for kind in kinds) for item in value)
            ),
        )
    else:
        raise _NotSimpleError
