"""The code that a run's numbers come from: hashes of its modules, without importing them.

Counted are the modules that the config's targets name, those of expt that train, and what these
import, as far as it belongs to expt, to a package that the user has allowed, or else to no
installed package. Comments, docstrings and layout make no difference. Installed packages count by
their versions, which are recorded apart. What a module reads besides, such as data files, and
modules whose names are made up while it runs, are not seen.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec
from typing import Any

from expt.config.declarations import STEP_KEY
from expt.config.hashes import has_effect
from expt.config.instantiate import ALLOW_VARIABLE, is_allowed_by_user, mappings
from expt.config.modules import find_module, is_library, read_source
from expt.config.schema import Config
from expt.config.syntax import canonical, imported, imported_by_call
from expt.errors import UserError

_OWN = "expt"
_TRAINING = "expt.train.session"  # it imports all that trains, but for what the config names
# Modules of expt that change no number: they record, report, find and check. What they import is
# not followed. The values of a config count by themselves.
_WITHOUT_EFFECT = (
    *("expt.errors", "expt.record", "expt.runs"),
    *("expt.config.compose", "expt.config.flatten", "expt.config.full_keys"),
    *("expt.config.groups", "expt.config.hashes"),
    *("expt.config.hydra_help", "expt.config.hydra_job", "expt.config.hydra_setup"),
    *("expt.config.location", "expt.config.modules", "expt.config.own_groups"),
    *("expt.config.params", "expt.config.paths", "expt.config.shared_composition"),
    *("expt.config.schema", "expt.config.sources", "expt.config.syntax"),
    *("expt.train.checkpoint", "expt.train.hooks.checkpoints", "expt.train.hooks.images"),
    *("expt.train.hooks.profile", "expt.train.layer_table", "expt.train.messages"),
    *("expt.train.recorders", "expt.train.resume", "expt.train.run_record", "expt.train.start"),
    *("expt.train.saveable", "expt.train.saved_model", "expt.train.signals", "expt.train.timing"),
)
# Whose versions are recorded even if their source lies in a folder of the user's.
_VERSIONED = {"hydra", "keras", "mlflow", "numpy", "omegaconf", "tensorboard", "tensorflow"}
_DIGITS = 16


@dataclass(frozen=True)
class Code:
    """The code of a run.

    Attributes:
        hash: Equal for runs of the same code.
        modules: The hash of each module that has any statement, by its full name.
    """

    hash: str
    modules: Mapping[str, str]

    @classmethod
    def of_modules(cls, modules: Mapping[str, str]) -> "Code":
        """Returns the code that a run has from its beginning to its end."""
        return cls(_digest(json.dumps(modules, sort_keys=True)), dict(modules))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Code":
        """Reads what `to_mapping` returned."""
        return cls(str(mapping["hash"]), dict(mapping["modules"]))

    def to_mapping(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {"hash": self.hash, "modules": dict(self.modules)}

    def after(self, earlier: "Code | None", step: int) -> "Code":
        """Returns the code of a run that had another one up to a step.

        Its hash is that of no run which had one code all the time.

        Args:
            earlier: The code before; None if it was not recorded.
            step: The last step of the code before.
        """
        if earlier is not None and earlier.modules == self.modules:
            return earlier
        if step == 0:
            return self
        before = None if earlier is None else earlier.hash
        return Code(_digest(json.dumps([before, step, self.hash])), self.modules)


def code_of(config: Config) -> Code:
    """Returns the code that a config's run executes.

    Each module is read once in a process, before it is imported; `check_imported` makes sure that
    what was imported is what was read.

    Args:
        config: A job's; its targets must have been checked.

    Raises:
        UserError: A module can't be read, or its source is no Python.
    """
    roots = [module for place, module in _named(config.to_mapping()) if has_effect(place)]
    return Code.of_modules(_walk([_TRAINING, *roots]))


def part_modules(config: Config, groups: Iterable[str]) -> dict[str, str]:
    """Returns the hashes of the modules that some groups of a config name, and what they import.

    Raises:
        UserError: As `code_of`.
    """
    nodes = {group: getattr(config, group) for group in groups}
    return _walk(module for _, module in _named(nodes))


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the names of modules that differ, are new or are gone; the user's own first."""
    names = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    return sorted(names, key=lambda name: (_is_own(name), name))


def check_imported(code: Code) -> None:
    """Checks that the modules imported by now are those that were read.

    Raises:
        UserError: One was changed between the two.
    """
    for source in _sources.values():
        if source.module in code.modules and not source.is_settled:
            if source.stamp != _stamp(source.file) and _hash_now(source) != source.hash:
                raise UserError(
                    f"{source.module} was changed while the run was being prepared; which code it "
                    "would run is uncertain. Start it again."
                )
            source.is_settled = source.module in sys.modules


@dataclass
class _Source:
    """A module as it was read.

    Attributes:
        module: Its full name.
        file: Where it is, if it is a file.
        hash: Of its statements; None without any.
        imports: What it may import.
        stamp: The file's time and size then.
        is_settled: Whether the module is imported, and from what was read as far as is known.
    """

    module: str
    file: str | None
    hash: str | None
    imports: tuple[str, ...]
    stamp: tuple[int, int] | None
    is_settled: bool = field(default=False)


_sources: dict[tuple[str, str | None], _Source] = {}


def _hash_now(source: _Source) -> str | None:
    """Returns the hash of what a module's file holds by now."""
    spec = find_module(source.module)
    return None if spec is None else _content(source.module, source.file, spec)[0]


def _named(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the modules that targets and declared steps name, with their places."""
    for key, value in node.items():
        for place, mapping in mappings(value, key):
            for target in (mapping.get("_target_"), mapping.get(STEP_KEY)):
                if isinstance(target, str):
                    yield place, target.rpartition(".")[0]


def _walk(roots: Iterable[str]) -> dict[str, str]:
    where = (os.environ.get(ALLOW_VARIABLE, ""), *sys.path)
    return dict(_walked(frozenset(roots), where))


@lru_cache(maxsize=64)
def _walked(roots: frozenset[str], _where: tuple[str, ...]) -> dict[str, str]:
    """Returns the hashes of modules and all they import, for one state of the search path."""
    found: dict[str, str] = {}
    specs: dict[str, ModuleSpec | None] = {}
    left, seen = [name for root in roots for name in _with_packages(root)], set[str]()
    while left:
        name = left.pop()
        if name in seen or not _may_count(name):
            continue
        seen.add(name)
        spec = specs.setdefault(name, find_module(name))
        if spec is None or not _counts(name, spec):
            continue
        source = _read(name, spec)
        if source.hash is not None:
            found[name] = source.hash
        left += [
            inner
            for other in source.imports
            if not _is_own(name) or _is_own(other)
            for inner in _with_packages(other)
        ]
    return dict(sorted(found.items()))


def _with_packages(name: str) -> list[str]:
    """Importing `a.b.c` imports `a` and `a.b`."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _is_own(name: str) -> bool:
    return name == _OWN or name.startswith(f"{_OWN}.")


def _may_count(name: str) -> bool:
    """Whether a module may count, by its name."""
    if _is_own(name):  # that of the package itself holds its version
        return name != _OWN and not any(
            name == one or name.startswith(f"{one}.") for one in _WITHOUT_EFFECT
        )
    top = name.partition(".")[0]
    return is_allowed_by_user(name) or not (top in sys.stdlib_module_names or top in _VERSIONED)


def _counts(name: str, spec: ModuleSpec) -> bool:
    return _is_own(name) or is_allowed_by_user(name) or not is_library(spec)


def _read(name: str, spec: ModuleSpec) -> _Source:
    file = spec.origin if spec.has_location else None
    known = _sources.get((name, file))
    if known is None:
        stamp = _stamp(file)  # before the content: a change in between is found later
        known = _Source(name, file, *_content(name, file, spec), stamp, name in sys.modules)
        _sources[name, file] = known
    return known


def _content(name: str, file: str | None, spec: ModuleSpec) -> tuple[str | None, tuple[str, ...]]:
    """Returns the hash of a module's statements, and what it may import."""
    try:
        source = read_source(spec)
        if not isinstance(source, str):  # compiled, or a folder of modules
            return None if source is None else _digest(source), ()
        tree = ast.parse(source)
    except OSError as error:
        raise UserError(f"the source of {name} can't be read: {error}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        place = f"{file}, line {line}" if line else file
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise UserError(f"{place}: {reason}. The run would import {name}; correct it.") from error
    is_package = spec.submodule_search_locations is not None
    text = canonical(tree)
    imports = list(imported(tree, name, is_package=is_package))
    if "import_module" in source or "__import__" in source:
        imports += imported_by_call(tree)
    return (_digest(text) if text else None), tuple(dict.fromkeys(imports))


def _stamp(file: str | None) -> tuple[int, int] | None:
    try:
        found = os.stat(file) if file is not None else None  # noqa: PTH116  it may be in an archive
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size)


def _digest(content: str | bytes) -> str:
    encoded = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(encoded).hexdigest()[:_DIGITS]
