"""Locations and sources of modules, without importing them.

Importing a module runs its code, which must not happen before its name is checked and its source is
hashed.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from pkgutil import get_importer

_LIBRARY_FOLDERS = {"site-packages", "dist-packages"}  # Debian's Python uses the latter
_STANDARD = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")
)


def find_module(name: str) -> ModuleSpec | None:
    """Returns the spec of a module; None if there is no module of that name.

    Unlike `importlib.util.find_spec`, it does not import the packages that contain the module.
    """
    path: Iterable[str] | None = None
    spec, parts = None, name.split(".")
    for depth in range(1, len(parts) + 1):
        if not parts[depth - 1] or (depth > 1 and path is None):  # only packages have a path
            return None
        spec = _find(".".join(parts[:depth]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _find(name: str, path: Iterable[str] | None) -> ModuleSpec | None:
    # An imported module runs the source that it was loaded from, even if finders now find another.
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if isinstance(loaded, ModuleSpec):
        return loaded
    for finder in sys.meta_path:
        if finder is PathFinder and path is not None:
            spec = _find_in(name, path)
        else:
            find_spec = getattr(finder, "find_spec", None)
            spec = find_spec(name, path) if find_spec else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _find_in(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """Finds a module in folders, as `PathFinder` does.

    `PathFinder` itself fails at folders without `__init__.py` whose parent package has not been
    imported.
    """
    found: list[str] = []
    for folder in folders:
        finder = get_importer(folder)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        found += spec.submodule_search_locations or []
    if not found:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = found
    return namespace


def is_library(spec: ModuleSpec) -> bool:
    """Whether a module belongs to Python or to an installed package, which both have versions."""
    if spec.origin in ("built-in", "frozen"):
        return True
    places = [spec.origin] if spec.has_location and spec.origin else []
    places += list(spec.submodule_search_locations or ())
    return any(
        _LIBRARY_FOLDERS & set(Path(place).parts) or os.path.realpath(place).startswith(_STANDARD)
        for place in places
    )


def read_source(spec: ModuleSpec) -> str | bytes | None:
    """Returns the source of a module, or the bytes of a compiled one; None for a namespace package.

    Raises:
        OSError: The source can't be read.
        SyntaxError: The encoding that the source declares is unknown.
        UnicodeDecodeError: The source is not in the encoding that it declares.
    """
    get_source = getattr(spec.loader, "get_source", None)
    try:
        source = get_source(spec.name) if get_source else None
    except ImportError as error:  # loaders raise it for a file that they can't read
        raise OSError(str(error)) from error
    if source is not None:
        return str(source)
    if spec.has_location and spec.origin and os.path.isfile(spec.origin):  # noqa: PTH113
        return Path(spec.origin).read_bytes()
    return None
