"""Instantiation of parts: the only module that turns a `_target_` into a Python object.

Targets are checked against an allow-list first, because Hydra's `instantiate` would call any
function that a config names.
"""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hydra.utils
from hydra.errors import HydraException

from expt.config.allowed import ALLOW_VARIABLE, is_allowed_by_user
from expt.config.modules import find_module
from expt.config.part_errors import describe_part_error
from expt.errors import RunError, UserError, hint

# Public names of expt's parts, recorders, kinds of training, launchers and sweepers.
_OWN = re.compile(
    r"expt\.parts(\.[a-z]\w*)+\.[A-Za-z]\w*"
    r"|expt\.record\.[a-z]\w*\.[A-Z]\w*Recorder"
    r"|expt\.train\.learners\.[a-z]\w*\.[A-Z]\w*"
    r"|expt\.probes\.[a-z]\w*\.[A-Z]\w*"
    r"|expt\.sweep\.(launchers|sweepers)\.[a-z]\w*\.[A-Za-z]\w*"
)
# Keras classes that can't run code from a config. Lambda and TFSMLayer could.
_KERAS = re.compile(
    r"keras\.(layers|optimizers|optimizers\.schedules|initializers|regularizers|constraints)"
    r"\.(?!Lambda$|TFSMLayer$)[A-Z]\w*"
)

ACCUMULATION_KEY = "gradient_accumulation_steps"
"""Key of an optimizer: the number of batches whose gradients are averaged for one step."""
DECAY_KEY = "decay_all"
"""Key of an optimizer: whether all variables decay; absent means the optimizer's own choice."""
HORIZON_KEY = "total_steps"
"""Key of a schedule: its length in steps; null means the length of the run."""
FRAMEWORK_KEYS = {"optimizer": (ACCUMULATION_KEY, DECAY_KEY), "schedule": (HORIZON_KEY,)}
"""Keys in the nodes of parts that expt itself uses, and that are not arguments of the target."""


def bind_part(node: Mapping[str, Any], where: str) -> functools.partial[Any]:
    """Returns a node's target as a partial, with the node's other keys bound as arguments.

    The arguments that expt supplies, such as an input shape, are passed when the partial is called.
    Keys that begin with an underscore are declarations and are not bound, nor are the keys that
    expt uses itself, such as `gradient_accumulation_steps` of an optimizer.

    Args:
        node: The node of a part.
        where: The key of the node, such as `optimizer`, for messages.

    Raises:
        UserError: The target is not allowed or not found, or has no argument of some name.
    """
    for place, target in targets(node, where):
        check_target(target, place)
    for place, mapping in mappings(node, where):
        if "_args_" in mapping:
            raise UserError(f"{place}: _args_ is not allowed; pass arguments by name.")
    of_framework = FRAMEWORK_KEYS.get(where, ())
    arguments = {
        key: value
        for key, value in node.items()
        if not _is_declaration(key) and key not in of_framework
    }
    try:
        # With _convert_="all", parts get plain lists and dicts instead of OmegaConf's containers.
        made = hydra.utils.instantiate(arguments, _partial_=True, _convert_="all")
    except HydraException as error:
        _check_name(str(node["_target_"]), where)
        raise UserError(f"{where}: {_first_cause(error)}") from error
    # Checked before the call, because the TypeError of a call suggests no valid name.
    _check_arguments(made, where)
    return functools.partial(made.func, **made.keywords)


def call_part(made: Callable[..., Any], where: str, **supplied: Any) -> Any:
    """Calls a partial that `bind_part` returned, with the arguments that expt supplies.

    Raises:
        UserError: The target raised a TypeError or a ValueError, or the code of a user's own part
            raised any exception.
    """
    try:
        return made(**supplied)
    except (UserError, RunError):
        raise
    except Exception as error:
        message = describe_part_error(error, {where: ""})
        if message is None and not isinstance(error, TypeError | ValueError):
            raise
        raise UserError(message or f"{where}: {error}") from error


def _is_declaration(key: str) -> bool:
    return key.startswith("_") and key != "_target_"


def targets(node: object, where: str) -> Iterator[tuple[str, str]]:
    """Yields the full key of each mapping with a `_target_` in a node, and the target."""
    for place, mapping in mappings(node, where):
        if "_target_" in mapping:
            yield place, str(mapping["_target_"])


def mappings(node: object, where: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yields the full key and the content of a node and of each mapping nested in it."""
    if isinstance(node, Mapping):
        yield where, node
        for key, value in node.items():
            yield from mappings(value, f"{where}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from mappings(value, f"{where}.{index}")


def check_target(target: str, where: str) -> None:
    """Checks a target against the allow-list, without importing it.

    A target consists of a module and one name in it, so that it can't reach other code through the
    imports of an allowed module.

    Args:
        target: The full name of a class or function.
        where: The key of its node, for messages.

    Raises:
        UserError: The target is not allowed, or its module does not exist.
    """
    if _KERAS.fullmatch(target):
        return
    module, _, name = target.rpartition(".")
    if not module or not name:
        raise UserError(
            f"{where}._target_={target}: expected MODULE.NAME, such as my_project.losses.robust."
        )
    if not _OWN.fullmatch(target) and not is_allowed_by_user(target):
        package = target.partition(".")[0]
        raise UserError(
            f"{where}._target_={target}: not allowed. Expected a public name of expt.parts, a "
            "recorder, or a layer, optimizer, initializer or regularizer of Keras. To allow your "
            f"own package, set the environment variable {ALLOW_VARIABLE}={package}"
        )
    if find_module(module) is None:
        raise UserError(
            f"{where}._target_={target}: there is no module {module!r}. Expected a module and the "
            "name of a function or class in it. Install the package, or run the command in the "
            "folder that contains it."
        )


def check_calls_nothing(node: object, where: str) -> None:
    """Checks that a node names no function or class for Hydra to call.

    Callbacks and logging factories would bypass the allow-list of `check_target`.

    Args:
        node: The `hydra` node of a config as plain values.
        where: The full key of the node, for the error message.

    Raises:
        UserError: The node has a `_target_` or a logging factory.
    """
    for place, target in targets(node, where):
        raise UserError(f"{place}._target_={target}: not allowed in the {where} node.")
    for place, mapping in mappings(node, where):
        if "()" in mapping:  # logging.config.dictConfig calls the factory named by this key
            raise UserError(f"{place}: the key () of logging factories is not allowed.")


def _check_name(target: str, where: str) -> None:
    """Checks that a target's module, if it was imported, has the target's name."""
    module, _, name = target.rpartition(".")
    if module in sys.modules and not hasattr(sys.modules[module], name):
        public = [other for other in vars(sys.modules[module]) if not other.startswith("_")]
        raise UserError(f"{where}._target_: there is no {name!r} in {module}. {hint(name, public)}")


def _check_arguments(made: functools.partial[Any], where: str) -> None:
    # An allowed module may have imported the name from somewhere else.
    home = getattr(made.func, "__module__", "") or ""
    if not home.startswith(("expt.", "keras.")) and not is_allowed_by_user(home):
        raise UserError(f"{where}: the target is defined in {home!r}, which is not allowed.")
    parameters = inspect.signature(made.func).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for name in made.keywords:
        if name not in parameters:
            function = getattr(made.func, "__qualname__", made.func)
            # Positional parameters, such as a loss's `targets`, are supplied by expt.
            keywords = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
            raise UserError(
                f"{where}.{name}: {function} has no such argument. "
                f"{hint(name, keywords or parameters)}"
            )


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
