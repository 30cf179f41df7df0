"""The source files that are part of an MLflow model, which is served without expt installed."""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "expt"
_ENTRY = "expt.serving.pyfunc"
_SOURCE = Path(__file__).parents[3]
_IMPORT = re.compile(rf"^(\s*(?:from|import) ){_PACKAGE}\b", re.MULTILINE)


@dataclass(frozen=True)
class ShippedCode:
    """A package of source files.

    Attributes:
        entry: The name of the module that loads the model.
        files: The sources by path.
    """

    entry: str
    files: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Writes the files into a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


@functools.cache
def shipped_code() -> ShippedCode:
    """Returns the serving module and all modules of expt that it imports, as a renamed package.

    The package is named after a hash of its content, so that models of several versions, and expt
    itself, can be loaded in the same process. The modules are read but not imported.
    """
    texts = {_path(module): _read(module) for module in sorted(_closure(_ENTRY))}
    digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:12]
    package = f"{_PACKAGE}_{digest}"
    # Paths and imports get the new name; only its first occurrence in a path is the package.
    files = {
        path.replace(_PACKAGE, package, 1): _IMPORT.sub(rf"\g<1>{package}", text)
        for path, text in texts.items()
    }
    return ShippedCode(_ENTRY.replace(_PACKAGE, package, 1), files)


def _closure(entry: str) -> set[str]:
    """Returns a module and all modules of expt that it imports, including their packages."""
    needed: set[str] = set()
    left = [entry]
    while left:
        module = left.pop()
        if module not in needed:
            needed.add(module)
            left += _imports(_read(module))
            left += [module.rpartition(".")[0]] if "." in module else []
    return needed


def _imports(source: str) -> Iterator[str]:
    """Yields the modules of expt that a source file imports, even inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            # An imported name may be a module or an attribute of one; `_is_own` decides.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in (node.module, *names) if _is_own(name))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_own(alias.name))


def _is_own(name: str) -> bool:
    return name.split(".")[0] == _PACKAGE and (_SOURCE / _path(name)).is_file()


def _path(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (_SOURCE / path).is_dir() else f"{path}.py"


def _read(module: str) -> str:
    return (_SOURCE / _path(module)).read_text(encoding="utf-8")
