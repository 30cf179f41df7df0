"""What a saved model may be made of: checked before Keras, which imports what a file names."""

import builtins
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expt.config.instantiate import ALLOW_VARIABLE, check_target
from expt.errors import UserError

_CONFIG_FILE = "config.json"
_MOST_BYTES = 256 * 1024**2  # of the config; a small file may unpack to any size
# Keras writes objects by public names, or where these are missing by those of its own source.
_KERAS_CLASS = re.compile(
    r"keras\.(src\.)?"
    r"(activations|applications|constraints|dtype_policies|initializers|layers|losses|metrics"
    r"|models|ops|optimizers|quantizers|random|regularizers)(\.\w+)*\.[A-Z]\w*"
    r"|keras\.[A-Z]\w*"
)
_KERAS_FUNCTION = re.compile(
    r"keras\.(src\.)?(activations|constraints|initializers|losses|metrics|ops|regularizers)"
    r"(\.\w+)*"
)
# They run code, or load it, from what the file gives them.
_REFUSED = {"__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}


def check_saved_layers(file: Path) -> None:
    """Checks that a .keras file is made of nothing but Keras' own parts and allowed modules.

    Nothing is imported for it.

    Raises:
        UserError: The file is damaged, or names something else.
    """
    for kind, entry in _objects(_read_config(file)):
        problem = _problem(kind, entry)
        if problem:
            raise UserError(f"{file} can't be loaded: {problem}")


def _read_config(file: Path) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo(_CONFIG_FILE).file_size > _MOST_BYTES:
                raise UserError(f"{file} can't be loaded: its {_CONFIG_FILE} is too large.")
            return json.loads(archive.read(_CONFIG_FILE))
    except UserError:
        raise
    # The archive's reader lets through whatever its parsers raise.
    except Exception as error:
        raise UserError(f"{file} can't be loaded: it is damaged, or no .keras file.") from error


def _objects(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields every mapping that Keras may make an object of, however deep, with its class."""
    left = [config]  # a list, for a hostile file may be nested deeper than Python recurses
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield str(value["class_name"]), value
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _problem(kind: str, entry: dict[str, Any]) -> str | None:
    """Returns what is wrong with an object's class, or the module that it is of."""
    module, registered = entry.get("module"), entry.get("registered_name")
    name = str(entry.get("config")) if kind == "function" else kind
    if kind in _REFUSED:
        return f"it has a {kind}, which would run code that the file brings along."
    if module is None:  # found by its name among Keras' own and those registered by imports
        return None
    module = str(module)
    if module == "builtins" and kind == "function" and not hasattr(builtins, name):
        return None  # that is how Keras writes its own functions
    if module.partition(".")[0] == "keras":
        pattern = _KERAS_FUNCTION if kind == "function" else _KERAS_CLASS
        if pattern.fullmatch(f"{module}.{name}") and registered in (None, name):
            return None
    elif _is_allowed(f"{module}.{name}"):
        return None
    return (
        f"it names {module}.{name}, which is not allowed. Saved models may be made of Keras' own "
        f"parts, those of expt.parts, and of packages that {ALLOW_VARIABLE} names in the "
        "environment."
    )


def _is_allowed(target: str) -> bool:
    try:
        check_target(target, "")
    except UserError:
        return False
    return True
