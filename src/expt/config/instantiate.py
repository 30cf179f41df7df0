"""The one place where a config's `_target_` becomes a Python object."""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hydra.utils
from hydra.errors import HydraException

from expt.config.modules import find_module
from expt.errors import UserError, hint

ALLOW_VARIABLE = "EXPT_ALLOW"
"""The environment variable that names a user's own packages, separated by commas.

It can't be set in a config: a config from elsewhere must not be able to allow itself code.
"""

# Public names that a module of parts defines, recorders, and kinds of training.
_OWN = re.compile(
    r"expt\.parts(\.[a-z]\w*)+\.[A-Za-z]\w*"
    r"|expt\.record\.[a-z]\w*\.[A-Z]\w*Recorder"
    r"|expt\.train\.learners\.[a-z]\w*\.[A-Z]\w*"
    r"|expt\.sweep\.(launchers|sweepers)\.[a-z]\w*\.[A-Za-z]\w*"
)
# Classes of Keras that do no more than they say. Lambda and TFSMLayer run what they are given.
_KERAS = re.compile(
    r"keras\.(layers|optimizers|optimizers\.schedules|initializers|regularizers|constraints)"
    r"\.(?!Lambda$|TFSMLayer$)[A-Z]\w*"
)

ACCUMULATION_KEY = "gradient_accumulation_steps"
"""Of an optimizer: of how many batches the mean gradient makes one step."""
DECAY_KEY = "decay_all"
"""Of an optimizer: whether weight decay is of all variables; without it, the optimizer decides."""
HORIZON_KEY = "total_steps"
"""Of a schedule: over how many steps it goes; null is the whole run."""
FRAMEWORK_KEYS = {"optimizer": (ACCUMULATION_KEY, DECAY_KEY), "schedule": (HORIZON_KEY,)}
"""Keys of parts that are no arguments, but for the framework itself."""


def part(node: Mapping[str, Any], where: str) -> functools.partial[Any]:
    """Returns what a node's `_target_` names, with the node's other keys bound as arguments.

    What the framework supplies (an input shape, the activation …) is given when the result is
    called. Keys with an underscore in front are declarations, not arguments; nor are those that the
    framework handles itself, such as an optimizer's accumulation of gradients.

    Args:
        node: A part's config.
        where: The part's place in the config, such as `optimizer`, for messages.

    Raises:
        UserError: The target is not allowed or not found, or it takes no argument of that name.
    """
    for place, target in targets(node, where):
        check_target(target, place)
    for place, mapping in mappings(node, where):
        if "_args_" in mapping:
            raise UserError(f"{place}: _args_ is not allowed; give arguments by their names.")
    of_framework = FRAMEWORK_KEYS.get(where, ())
    arguments = {
        key: value
        for key, value in node.items()
        if not _is_declaration(key) and key not in of_framework
    }
    try:
        made = hydra.utils.instantiate(arguments, _partial_=True, _convert_="all")
    except HydraException as error:
        _check_name(str(node["_target_"]), where)
        raise UserError(f"{where}: {_first_cause(error)}") from error
    _check_arguments(made, where)
    return functools.partial(made.func, **made.keywords)


def call(made: Callable[..., Any], where: str, **supplied: Any) -> Any:
    """Calls what `part` returned, with what the framework supplies.

    Raises:
        UserError: It refuses its arguments.
    """
    try:
        return made(**supplied)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _is_declaration(key: str) -> bool:
    return key.startswith("_") and key != "_target_"


def targets(node: object, where: str) -> Iterator[tuple[str, str]]:
    """Yields every `_target_` in a node, nested ones too, with its place."""
    for place, mapping in mappings(node, where):
        if "_target_" in mapping:
            yield place, str(mapping["_target_"])


def mappings(node: object, where: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yields a node and every mapping nested in it, with its place."""
    if isinstance(node, Mapping):
        yield where, node
        for key, value in node.items():
            yield from mappings(value, f"{where}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from mappings(value, f"{where}.{index}")


def check_target(target: str, where: str) -> None:
    """Checks a target against the allow-list, without importing it.

    A target is a module and one name in it, so that no path leads through a module's imports to
    somewhere else.

    Raises:
        UserError: The target's package is not allowed, or there is no such module.
    """
    if _KERAS.fullmatch(target):
        return
    module, _, name = target.rpartition(".")
    if not _OWN.fullmatch(target) and not is_allowed_by_user(target):
        package = target.partition(".")[0]
        raise UserError(
            f"{where}._target_={target}: not allowed. Targets may be public names of expt.parts, "
            "recorders, and Keras' layers, optimizers, initializers and regularizers; allow a "
            f"package of your own with {ALLOW_VARIABLE}={package} in the environment."
        )
    if not name or find_module(module) is None:
        raise UserError(
            f"{where}._target_={target}: there is no module {module!r}. A target is a module and "
            "the name of a function or class in it; is the folder that holds the package the "
            "working directory, or the package installed?"
        )


def is_allowed_by_user(name: str) -> bool:
    """Whether a module or target belongs to a package that the environment allows."""
    packages = (package.strip() for package in os.environ.get(ALLOW_VARIABLE, "").split(","))
    return any(package and f"{name}.".startswith(f"{package}.") for package in packages)


def _check_name(target: str, where: str) -> None:
    """Checks that a target's module, if it could be imported, has the name."""
    module, _, name = target.rpartition(".")
    if module in sys.modules and not hasattr(sys.modules[module], name):
        public = [other for other in vars(sys.modules[module]) if not other.startswith("_")]
        raise UserError(f"{where}._target_: there is no {name!r} in {module}. {hint(name, public)}")


def _check_arguments(made: functools.partial[Any], where: str) -> None:
    home = getattr(made.func, "__module__", "") or ""
    if not home.startswith(("expt.", "keras.")) and not is_allowed_by_user(home):
        raise UserError(f"{where}: the target is defined in {home!r}, which is not allowed.")
    parameters = inspect.signature(made.func).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for name in made.keywords:
        if name not in parameters:
            function = getattr(made.func, "__qualname__", made.func)
            keywords = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
            raise UserError(
                f"{where}.{name}: {function} has no such argument. "
                f"{hint(name, keywords or parameters)}"
            )


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
