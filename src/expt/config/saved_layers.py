"""Validation of `.keras` files before Keras loads them.

Keras imports the modules that a file names, so that loading a file from someone else could run any
code.
"""

import builtins
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expt.config.allowed import ALLOW_VARIABLE
from expt.config.instantiate import check_target
from expt.errors import UserError

_CONFIG_FILE = "config.json"
_MAX_BYTES = 256 * 1024**2  # of the unpacked config: a small archive could fill the memory
# Keras records objects by their public names, or by their names in keras.src if they have none.
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
# Layers that run or load code from the file.
_REFUSED = {"__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}


def check_saved_layers(file: Path) -> None:
    """Checks that a `.keras` file uses only parts of Keras and of allowed modules.

    The check itself imports nothing.

    Raises:
        UserError: The file is damaged, or uses a part that is not allowed.
    """
    for kind, entry in _objects(_read_config(file)):
        problem = _problem(kind, entry)
        if problem:
            raise UserError(f"{file} can't be loaded: {problem}")


def _read_config(file: Path) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo(_CONFIG_FILE).file_size > _MAX_BYTES:
                raise UserError(f"{file} can't be loaded: its {_CONFIG_FILE} is too large.")
            return json.loads(archive.read(_CONFIG_FILE))
    except UserError:
        raise
    # A damaged archive can raise anything, because zipfile passes on its decompressors' exceptions.
    except Exception as error:
        raise UserError(
            f"{file} can't be loaded: it is damaged, or is not a .keras file."
        ) from error


def _objects(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the class name and the content of each mapping that Keras may deserialize."""
    left = [config]  # no recursion: a hostile file may exceed Python's recursion limit
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield str(value["class_name"]), value
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _problem(kind: str, entry: dict[str, Any]) -> str | None:
    """Describes why an object is not allowed; returns None if it is allowed."""
    module, registered = entry.get("module"), entry.get("registered_name")
    name = str(entry.get("config")) if kind == "function" else kind
    if kind in _REFUSED:
        return f"it has a {kind}, which would run code from the file."
    if module is None:  # Keras then looks only among its own and registered objects
        return None
    module = str(module)
    # Keras records its own functions as functions of `builtins`.
    if module == "builtins" and kind == "function" and not hasattr(builtins, name):
        return None
    if module.partition(".")[0] == "keras":
        pattern = _KERAS_FUNCTION if kind == "function" else _KERAS_CLASS
        if pattern.fullmatch(f"{module}.{name}") and registered in (None, name):
            return None
    elif _is_allowed(f"{module}.{name}"):
        return None
    return (
        f"it names {module}.{name}, which is not allowed. Expected parts of Keras, of expt.parts, "
        f"or of a package in the environment variable {ALLOW_VARIABLE}."
    )


def _is_allowed(target: str) -> bool:
    try:
        check_target(target, "")
    except UserError:
        return False
    return True
