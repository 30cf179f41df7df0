"""The documented arguments of a target, read from its source without importing it.

`--help` has to answer before TensorFlow could be imported, and it must not run a user's code.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from expt.config.modules import find_module, is_library, read_source

_ENTRY = re.compile(r"`?\*{0,2}(\w+)`?(?:\s*\([^)]*\))?\s*:\s*(.*)")
_TYPE = r"(?:(?:A|An)\s+)?(?:float|int|integer|bool|boolean|string|str)\b"
# How Keras begins an entry, with its type, which is no meaning, and how it ends, with its default.
_TYPE_IN_FRONT = re.compile(rf"{_TYPE}(?:\s+value)?,\s+(?!an?\b|or\b|defaults\b)", re.IGNORECASE)
_TYPE_SENTENCE = re.compile(
    rf"{_TYPE}(?:`[^`]*`|[^.:`]|\.(?=\S))*(?:\.\s+|:\s+)(?=\S)", re.IGNORECASE
)
_DEFAULT_SENTENCE = re.compile(r"\s*Defaults? (?:to|is) `[^`]*`\.?", re.IGNORECASE)

Definition = ast.ClassDef | ast.FunctionDef
Name = tuple[str, ast.stmt]
"""The module that defines a name, and the statement."""


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor.

    Attributes:
        meaning: Its entry in a docstring's `Args:` or `Attributes:`; empty without one.
        annotation: The expression of its type; None without one.
        default: The expression of its default; None without one.
        module: Where the names in the annotation are known.
    """

    meaning: str = ""
    annotation: ast.expr | None = None
    default: ast.expr | None = None
    module: str = ""


@dataclass(frozen=True)
class Constructor:
    """A function or class that a target names.

    Attributes:
        summary: The first paragraph of its docstring.
        arguments: Its arguments by name, those of base classes included.
        is_of_library: Whether it belongs to an installed package, such as Keras.
    """

    summary: str
    arguments: dict[str, Argument]
    is_of_library: bool


@cache
def read_constructor(target: str) -> Constructor | None:
    """Returns what the source says of a target, such as `expt.parts.models.dense.mlp`.

    Returns:
        None if the source is not found.
    """
    module, _, name = target.rpartition(".")
    found = find_name(module, name) if module else None
    if found is None or not isinstance(found[1], Definition):
        return None
    module, node = found[0], found[1]
    spec = find_module(module)
    arguments: dict[str, Argument] = {}
    for place, one in _with_bases(module, node):
        for argument, value in _arguments(place, one).items():
            known = arguments.get(argument, Argument())
            arguments[argument] = _joined(known, value)
    doc = ast.get_docstring(node) or ""
    summary = " ".join(doc.partition("\n\n")[0].split())
    return Constructor(summary, arguments, spec is not None and is_library(spec))


def find_name(module: str, name: str) -> Name | None:
    """Returns where a module's name is defined, following `from … import`; None if nowhere."""
    for statement in _statements(_tree(module).body):
        if isinstance(statement, ast.ImportFrom) and not statement.level:
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return find_name(statement.module or "", alias.name)
        elif name in _defined(statement):
            return module, statement
    return None


@cache
def _tree(module: str) -> ast.Module:
    """Returns a module's syntax tree; an empty one if it has no source that can be read."""
    spec = find_module(module)
    try:
        source = read_source(spec) if spec is not None else None
        return ast.parse(source or "")
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ast.parse("")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements of a module, those below `if TYPE_CHECKING:` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements(statement.body)


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        return {one.id for one in statement.targets if isinstance(one, ast.Name)}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    return set()


def _with_bases(module: str, node: Definition) -> Iterator[tuple[str, Definition]]:
    yield module, node
    for base in node.bases if isinstance(node, ast.ClassDef) else ():
        found = find_name(module, base.id) if isinstance(base, ast.Name) else None
        if found is not None and isinstance(found[1], ast.ClassDef):
            yield from _with_bases(found[0], found[1])


def _arguments(module: str, node: Definition) -> dict[str, Argument]:
    """Returns the arguments of a function, or of a class as far as itself says."""
    entries = _entries(_docstring(module, node))
    parameters: dict[str, Argument] = {}
    if isinstance(node, ast.FunctionDef):
        parameters = _parameters(node, module)
    else:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                parameters |= _parameters(statement, module)
                entries = {**entries, **_entries(_docstring(module, statement))}
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                parameters[statement.target.id] = Argument(
                    annotation=statement.annotation, default=statement.value, module=module
                )
    return {
        name: replace(parameters.get(name, Argument(module=module)), meaning=entries.get(name, ""))
        for name in {*entries, *parameters}
    }


def _docstring(module: str, node: Definition) -> str:
    """Returns a docstring with its `{{name}}` replaced by the text that an imported module defines.

    So does Keras, when it is imported, with the arguments that all of its optimizers have.
    """

    def text(match: re.Match[str]) -> str:
        for statement in _tree(module).body:
            for alias in statement.names if isinstance(statement, ast.ImportFrom) else ():
                found = _text(f"{getattr(statement, 'module', '')}.{alias.name}", match[1])
                if found:
                    return found
        return ""

    docstring = ast.get_docstring(node, clean=False) or ""
    return inspect.cleandoc(re.sub(r"\{\{(\w+)\}\}", text, docstring))


def _text(module: str, name: str) -> str:
    """Returns the text that a module assigns to a name, also as `name = other_module.name`."""
    found = find_name(module, name)
    value = getattr(found[1], "value", None) if found is not None else None
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        for statement in _tree(module).body:
            for alias in statement.names if isinstance(statement, ast.ImportFrom) else ():
                if alias.name == value.value.id:
                    return _text(f"{getattr(statement, 'module', '')}.{alias.name}", value.attr)
    return str(value.value) if isinstance(value, ast.Constant) else ""


def _parameters(function: ast.FunctionDef, module: str) -> dict[str, Argument]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    # Those of the last positional parameters.
    without = [None] * (len(positional) - len(given.defaults))
    defaults = [*without, *given.defaults, *given.kw_defaults]
    return {
        one.arg: Argument(annotation=one.annotation, default=default, module=module)
        for one, default in zip([*positional, *given.kwonlyargs], defaults, strict=True)
        if one.arg != "self"
    }


def _joined(first: Argument, second: Argument) -> Argument:
    """Returns what the first one says, and the second one where the first says nothing."""
    if first.annotation is None:
        first = replace(
            first, annotation=second.annotation, default=second.default, module=second.module
        )
    return replace(first, meaning=first.meaning or second.meaning)


def _entries(docstring: str) -> dict[str, str]:
    """Returns the entries of the sections `Args:` and `Attributes:` of a Google-style docstring."""
    entries: dict[str, list[str]] = {}
    is_inside, indent, name = False, 0, ""
    for line in docstring.splitlines():
        depth = len(line) - len(line.lstrip())
        if depth == 0 and line:
            is_inside, indent, name = line in ("Args:", "Attributes:"), 0, ""
        elif is_inside and line.strip():
            indent = indent or depth
            match = _ENTRY.fullmatch(line.strip()) if depth == indent else None
            if match:
                name = match[1]
                entries[name] = [match[2]]
            elif name:
                entries[name].append(line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in entries.items()}


def without_type_and_default(entry: str) -> str:
    """Returns an entry of Keras' docstrings without the type in front and the default behind."""
    pattern = _TYPE_IN_FRONT if _TYPE_IN_FRONT.match(entry) else _TYPE_SENTENCE
    match = pattern.match(entry)
    stripped = _DEFAULT_SENTENCE.sub("", entry[match.end() :] if match else entry).strip()
    return stripped[:1].upper() + stripped[1:]
