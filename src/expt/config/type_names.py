"""Types as a reader of YAML knows them: `Sequence[int] | None` is `list of int or null`."""

import ast
from collections.abc import Iterator
from typing import Any

from expt.config.constructors import Argument, find_name

_SCALARS = {"int": "int", "float": "float", "str": "str", "bool": "bool", "None": "null"}
_LISTS = ("Sequence", "list", "tuple", "Iterable", "Collection")
_MAPPINGS = ("Mapping", "dict")
_ANY = "any"


def type_name(argument: Argument, default: Any) -> str:
    """Returns the type of a key.

    Args:
        argument: The constructor's; without an annotation, the default decides.
        default: The key's value in `conf/`; of null, null is one of the types.
    """
    if argument.annotation is None:
        names = [_of_entry(argument.meaning) or _of_value(default)]
    else:
        names = list(_of_annotation(argument.annotation, argument.module))
    names = [name for name in dict.fromkeys(names) if name != "null"] + (
        ["null"] if default is None or "null" in names else []
    )
    if _ANY in names or names == ["null"]:
        return _ANY
    return " or ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]


def _of_annotation(node: ast.expr, module: str) -> Iterator[str]:
    if isinstance(node, ast.BinOp):
        yield from _of_annotation(node.left, module)
        yield from _of_annotation(node.right, module)
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node.value, module)
    elif isinstance(node, ast.Subscript):
        yield from _of_subscript(node, module)
    elif isinstance(node, ast.Name):
        yield from _of_name(node.id, module)
    else:
        yield _ANY


def _of_constant(value: object, module: str) -> Iterator[str]:
    if value is None:
        yield "null"
    elif isinstance(value, str):  # an annotation in quotes
        yield from _of_annotation(ast.parse(value, mode="eval").body, module)
    else:
        yield _ANY


def _of_subscript(node: ast.Subscript, module: str) -> Iterator[str]:
    name = node.value.id if isinstance(node.value, ast.Name) else ""
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        yield from (_of_value_text(one) for one in inner)
    elif name in _LISTS:
        items = list(dict.fromkeys(kind for one in inner for kind in _of_item(one, module)))
        yield "list" if _ANY in items else f"list of {' or '.join(items)}"
    elif name in _MAPPINGS:
        yield "mapping"
    else:
        yield _ANY


def _of_item(node: ast.expr, module: str) -> Iterator[str]:
    if not (isinstance(node, ast.Constant) and node.value is ...):
        yield from _of_annotation(node, module)


def _of_value_text(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
    return "null" if value is None else f"`{value!s}`"


def _of_name(name: str, module: str) -> Iterator[str]:
    """Yields the types of a type alias, or the values of an enum."""
    if name in _SCALARS:
        yield _SCALARS[name]
        return
    if name in (*_LISTS, *_MAPPINGS):
        yield "list" if name in _LISTS else "mapping"
        return
    found = find_name(module, name)
    place, statement = found if found is not None else (module, None)
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        yield from _of_annotation(statement.value, place)
    elif isinstance(statement, ast.ClassDef) and _is_enum(statement):
        for one in statement.body:
            if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant):
                yield f"`{one.value.value!s}`"
    else:
        yield _ANY


def _is_enum(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)


def _of_entry(entry: str) -> str:
    """Returns the type that an entry of Keras' docstrings begins with, if any."""
    words = entry.lower().removeprefix("a ").removeprefix("an ").split()
    first = words[0].rstrip(".,:") if words else ""
    names = {"float": "float", "int": "int", "integer": "int"}
    return {**names, "boolean": "bool", "bool": "bool", "string": "str"}.get(first, "")


def _of_value(value: Any) -> str:
    if isinstance(value, list):
        kinds = {_of_value(item) for item in value}
        return f"list of {kinds.pop()}" if len(kinds) == 1 else "list"
    if isinstance(value, dict):
        return "mapping"
    return {bool: "bool", int: "int", float: "float", str: "str"}.get(type(value), _ANY)
