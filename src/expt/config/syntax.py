"""What a module's source does, and what it imports, read off its syntax tree."""

import ast
from collections.abc import Iterator, Sequence

_WITHOUT_MEANING = {"ctx", "kind", "type_comment", "type_ignores"}


def canonical(tree: ast.Module) -> str:
    """Returns a text that is equal for sources that differ by layout, comments and docstrings.

    `ast.unparse` and `ast.dump` write one tree differently in different versions of Python; here
    empty fields are left out, by which newer versions extend older ones. A module without
    statements gives an empty text.
    """
    written: list[str] = []
    left: list[ast.AST | str] = [*_reversed(_statements(tree.body))]
    while left:  # a list, for a long sum is nested deeper than Python recurses
        item = left.pop()
        if isinstance(item, str):
            written.append(item)
            continue
        written.append(f"{type(item).__name__}(")
        left.append(")")
        for name in reversed(item._fields):
            value = getattr(item, name, None)
            if value is None or value == [] or name in _WITHOUT_MEANING:
                continue
            if isinstance(value, list):
                statements = _statements(value)
                if statements:
                    left += ["]", *_reversed(statements), f"{name}["]
            else:
                left += [_item(value), f"{name}="]
    return "".join(written)


def _statements(values: Sequence[object]) -> list[object]:
    """Leaves out what does nothing: docstrings, other constants on lines of their own, `pass`."""
    return [value for value in values if not _does_nothing(value)]


def _does_nothing(value: object) -> bool:
    if isinstance(value, ast.Expr):
        return isinstance(value.value, ast.Constant)
    return isinstance(value, ast.Pass)


def _reversed(values: list[object]) -> list[ast.AST | str]:
    return [_item(value) for value in reversed(values)]


def _item(value: object) -> ast.AST | str:
    return value if isinstance(value, ast.AST) else f"{value!a},"


def imported(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Yields the full names that a module may import, wherever the statement stands.

    `from package import name` yields `package` and `package.name`, which may be a module or not.
    What is imported for type checkers alone is left out, as it is when the module runs.

    Args:
        tree: Its source.
        module: Its full name.
        is_package: Whether the source is a package's `__init__`.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in _statements_within(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base is not None:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Assign) and is_package:
            yield from (f"{module}.{name}" for name in _exported(node))


def imported_by_call(tree: ast.Module) -> Iterator[str]:
    """Yields what `importlib.import_module("name")` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            first, function = node.args[0], _name(node.func)
            if function in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield str(first.value)


def _statements_within(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields all statements, but for those that are for type checkers alone; no expressions."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        yield node
        is_for_types = isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and not (is_for_types and name == "body"):
                left.extend(inner)


def _base(node: ast.ImportFrom, package: str) -> str | None:
    """Returns the package or module that a statement imports from, by its full name."""
    if not node.level:
        return node.module
    parts = package.split(".") if package else []
    if node.level > len(parts):  # Python refuses it, too
        return None
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _exported(node: ast.Assign) -> Iterator[str]:
    """Yields the names in a package's `__all__`, which `from package import *` imports."""
    if any(_name(target) == "__all__" for target in node.targets):
        for one in ast.walk(node.value):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


def _name(node: ast.AST) -> str | None:
    """The last name of `a` or `a.b`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
