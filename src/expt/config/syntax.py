"""Canonical text and imports of a module's source, from its syntax tree."""

import ast
from collections.abc import Iterator, Sequence

_WITHOUT_MEANING = {"ctx", "kind", "type_comment", "type_ignores"}


def canonical_text(tree: ast.Module) -> str:
    """Returns a text that is equal for sources that differ only in layout, comments or docstrings.

    The text is empty for a module without statements.
    """
    # `ast.unparse` and `ast.dump` return different texts in different versions of Python. Here,
    # empty fields are left out, because newer versions add fields that are empty in older code.
    written: list[str] = []
    left: list[ast.AST | str] = [*_reversed(_statements(tree.body))]
    while left:  # no recursion: a long sum is nested deeper than Python's recursion limit
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
    """Removes statements without effect: docstrings, other constants on separate lines, `pass`."""
    return [value for value in values if not _does_nothing(value)]


def _does_nothing(value: object) -> bool:
    if isinstance(value, ast.Expr):
        return isinstance(value.value, ast.Constant)
    return isinstance(value, ast.Pass)


def _reversed(values: list[object]) -> list[ast.AST | str]:
    return [_item(value) for value in reversed(values)]


def _item(value: object) -> ast.AST | str:
    return value if isinstance(value, ast.AST) else f"{value!a},"


def find_imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Yields the full names that a module may import, at its top level or inside functions.

    `from package import name` yields `package` and `package.name`, which need not be a module.
    Imports under `if TYPE_CHECKING` are left out, because they are not executed.

    Args:
        tree: The syntax tree of the module.
        module: The full name of the module.
        is_package: Whether the source is the `__init__.py` of a package.
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


def find_dynamic_imports(tree: ast.Module) -> Iterator[str]:
    """Yields the names that calls such as `importlib.import_module("name")` import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            first, function = node.args[0], _name(node.func)
            if function in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield str(first.value)


def _statements_within(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields all statements except those under `if TYPE_CHECKING`, without their expressions."""
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
    """Returns the full name of the package or module that a statement imports from."""
    if not node.level:
        return node.module
    parts = package.split(".") if package else []
    if node.level > len(parts):  # importing the module raises ImportError
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
    """Returns the last part of a name, such as `b` of `a.b`; None for other expressions."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
