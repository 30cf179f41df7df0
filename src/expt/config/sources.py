"""Hashes of the code that a run executes, without importing it.

The hash covers the modules that the config's targets name, the modules of expt that train, and the
modules that these import, if they belong to expt, to a package in `EXPT_ALLOW`, or to no installed
package. Comments, docstrings and formatting do not count. The versions of installed packages are
recorded separately. Files that a module reads, and modules imported by names that are computed at
run time, are not covered.
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

from expt.config.allowed import ALLOW_VARIABLE, is_allowed_by_user
from expt.config.declarations import LEARNER_KEY
from expt.config.hashes import has_effect
from expt.config.instantiate import mappings
from expt.config.modules import find_module, is_library, read_source
from expt.config.schema import Config
from expt.config.syntax import canonical_text, find_dynamic_imports, find_imports
from expt.errors import UserError

_OWN = "expt"
_TRAINING = "expt.train.session"  # imports everything that trains, except the config's targets
# Modules of expt that can't change the numbers of a run: they record, report, find and check. Their
# imports are not followed. Modules that read configs are among them, because the run hash covers
# the values of the config.
_WITHOUT_EFFECT = (
    *("expt.errors", "expt.probes", "expt.record", "expt.runs"),
    *("expt.config.compose", "expt.config.flatten", "expt.config.full_keys"),
    *("expt.config.groups", "expt.config.hashes", "expt.config.hydra_schema", "expt.config.job"),
    *("expt.config.hydra_help", "expt.config.hydra_job", "expt.config.hydra_setup"),
    *("expt.config.location", "expt.config.modules", "expt.config.hydra_groups"),
    *("expt.config.params", "expt.config.paths", "expt.config.shared_composition"),
    *("expt.config.schema", "expt.config.sources", "expt.config.syntax"),
    *("expt.train.checkpoint", "expt.train.doctor"),
    *("expt.train.hooks.checkpoints", "expt.train.hooks.images"),
    *(
        "expt.train.hooks.probes",
        "expt.train.hooks.profile",
        "expt.train.layer_table",
        "expt.train.messages",
    ),
    *("expt.train.recorders", "expt.train.resume", "expt.train.run_record", "expt.train.start"),
    *("expt.train.saveable", "expt.train.saved_model", "expt.train.signals", "expt.train.timing"),
)
# Packages whose versions are recorded, even if they are installed from a folder of the user.
_VERSIONED = {"hydra", "keras", "mlflow", "numpy", "omegaconf", "tensorboard", "tensorflow"}
_DIGITS = 16


@dataclass(frozen=True)
class Code:
    """The code that a run executes.

    Attributes:
        hash: A hash of all modules, equal for runs with the same code.
        modules: The hash of each module that has statements, by the module's full name.
    """

    hash: str
    modules: Mapping[str, str]

    @classmethod
    def of_modules(cls, modules: Mapping[str, str]) -> "Code":
        """Returns the code of a run that executes the same modules from its start to its end."""
        return cls(_digest(json.dumps(modules, sort_keys=True)), dict(modules))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Code":
        """Restores the code from the result of `to_mapping`."""
        return cls(str(mapping["hash"]), dict(mapping["modules"]))

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {"hash": self.hash, "modules": dict(self.modules)}

    def after(self, earlier: "Code | None", step: int) -> "Code":
        """Returns the code of a run that executed other code up to some step.

        Its hash differs from that of every run which executed the same code throughout.

        Args:
            earlier: The code up to `step`; None if it was not recorded.
            step: The last step that the earlier code executed; with 0, the earlier code does not
                count.
        """
        if earlier is not None and earlier.modules == self.modules:
            return earlier
        if step == 0:
            return self
        before = None if earlier is None else earlier.hash
        return Code(_digest(json.dumps([before, step, self.hash])), self.modules)


def code_of(config: Config) -> Code:
    """Returns the code that a run of a config executes.

    A process reads each module once, before it is imported; `check_imported` verifies later that
    the imported modules are the ones that were read.

    Args:
        config: The config of a job, whose targets must have been checked.

    Raises:
        UserError: A module can't be read, or its source is not valid Python.
    """
    roots = [module for place, module in _target_modules(config.to_mapping()) if has_effect(place)]
    return Code.of_modules(_hash_modules([_TRAINING, *roots]))


def part_modules(config: Config, groups: Iterable[str]) -> dict[str, str]:
    """Returns the hashes of the modules that the targets of some groups need, by full name.

    Args:
        config: The config of a job, whose targets must have been checked.
        groups: The names of the groups.

    Raises:
        UserError: As for `code_of`.
    """
    nodes = {group: getattr(config, group) for group in groups}
    return _hash_modules(module for _, module in _target_modules(nodes))


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the names of modules that were changed, added or removed; the user's come first."""
    names = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    return sorted(names, key=lambda name: (_is_own(name), name))


def check_imported(code: Code) -> None:
    """Checks that the modules imported so far are the ones that were read.

    Raises:
        UserError: A module was changed after it was read and before it was imported.
    """
    for source in _sources.values():
        if source.module in code.modules and not source.is_settled:
            if source.stamp != _stamp(source.file) and _hash_now(source) != source.hash:
                raise UserError(
                    f"{source.module} was changed while the run was being prepared, so that it is "
                    "not certain which code it would execute. Start the run again."
                )
            source.is_settled = source.module in sys.modules


@dataclass
class _Source:
    """A module as it was read.

    Attributes:
        module: The full name of the module.
        file: The file of the module, if any.
        hash: The hash of the module's statements; None if it has none.
        imports: The full names of the modules that it may import.
        stamp: The modification time (in ns) and the size (in bytes) of the file before it was read.
        is_settled: Whether the module was imported, from the content that was read as far as is
            known. Later changes of the file then have no effect on this process.
    """

    module: str
    file: str | None
    hash: str | None
    imports: tuple[str, ...]
    stamp: tuple[int, int] | None
    is_settled: bool = field(default=False)


_sources: dict[tuple[str, str | None], _Source] = {}


def _hash_now(source: _Source) -> str | None:
    """Returns the hash of a module's current source."""
    spec = find_module(source.module)
    return None if spec is None else _analyze(source.module, source.file, spec)[0]


def _target_modules(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the full keys of targets and `_step_` declarations, and the modules that they name."""
    for key, value in node.items():
        for place, mapping in mappings(value, key):
            for target in (mapping.get("_target_"), mapping.get(LEARNER_KEY)):
                if isinstance(target, str):
                    yield place, target.rpartition(".")[0]


def _hash_modules(roots: Iterable[str]) -> dict[str, str]:
    # The result depends on these too, so that they are part of the key of the cache.
    where = (os.environ.get(ALLOW_VARIABLE, ""), *sys.path)
    return dict(_hash_modules_cached(frozenset(roots), where))


@lru_cache(maxsize=64)
def _hash_modules_cached(roots: frozenset[str], _where: tuple[str, ...]) -> dict[str, str]:
    """Returns the hashes of modules and of all modules that they import, by full name."""
    found: dict[str, str] = {}
    specs: dict[str, ModuleSpec | None] = {}
    left, seen = [name for root in roots for name in _with_packages(root)], set[str]()
    while left:
        name = left.pop()
        if name in seen or not _is_candidate(name):
            continue
        seen.add(name)
        spec = specs.setdefault(name, find_module(name))
        if spec is None or not _is_counted(name, spec):
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
    """Returns `a`, `a.b` and `a.b.c` for `a.b.c`, which are all imported with it."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _is_own(name: str) -> bool:
    return name == _OWN or name.startswith(f"{_OWN}.")


def _is_candidate(name: str) -> bool:
    """Whether the name of a module does not exclude it from the hash."""
    if _is_own(name):  # expt/__init__.py has nothing but the version, which is recorded separately
        return name != _OWN and not any(
            name == one or name.startswith(f"{one}.") for one in _WITHOUT_EFFECT
        )
    top = name.partition(".")[0]
    return is_allowed_by_user(name) or not (top in sys.stdlib_module_names or top in _VERSIONED)


def _is_counted(name: str, spec: ModuleSpec) -> bool:
    return _is_own(name) or is_allowed_by_user(name) or not is_library(spec)


def _read(name: str, spec: ModuleSpec) -> _Source:
    file = spec.origin if spec.has_location else None
    known = _sources.get((name, file))
    if known is None:
        stamp = _stamp(file)  # before reading, so that `check_imported` finds a change in between
        known = _Source(name, file, *_analyze(name, file, spec), stamp, name in sys.modules)
        _sources[name, file] = known
    return known


def _analyze(name: str, file: str | None, spec: ModuleSpec) -> tuple[str | None, tuple[str, ...]]:
    """Returns the hash of a module's statements, and the names of modules that it may import."""
    try:
        source = read_source(spec)
        if not isinstance(source, str):  # compiled, or a namespace package
            return None if source is None else _digest(source), ()
        tree = ast.parse(source)
    except OSError as error:
        raise UserError(f"the source of {name} can't be read: {error}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        place = f"{file}, line {line}" if line else file
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise UserError(
            f"{place}: {reason}. The run imports this module, {name}; fix it first."
        ) from error
    is_package = spec.submodule_search_locations is not None
    text = canonical_text(tree)
    imports = list(find_imports(tree, name, is_package=is_package))
    # Searching the text first saves a walk over all expressions of most modules.
    if "import_module" in source or "__import__" in source:
        imports += find_dynamic_imports(tree)
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
