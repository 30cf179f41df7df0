"""Keras' global settings, which are the same whatever the user's environment and keras.json say.

Keras reads both when it is imported. They can change models (the layout of images, the type of
weights, the backend), and an invalid value prevents the import of Keras. Importing this module
imports neither Keras nor TensorFlow.
"""

import json
import logging
import os
from functools import cache
from pathlib import Path
from typing import Any

from expt.errors import UserError

_log = logging.getLogger(__name__)
_BACKEND = "KERAS_BACKEND"
_HOME = "KERAS_HOME"
_USED: dict[str, Any] = {
    "backend": "tensorflow",
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
}
# For `apply_settings`, which reports them once logging has started.
_overridden: list[str] = []
# The previous value of KERAS_HOME, while it is replaced; None if it was not set.
_homes: list[str | None] = []


@cache
def prepare_keras() -> None:
    """Sets the environment variables that Keras reads, for this process and its children.

    A command must call it first of all: users' own modules may import Keras.
    """
    given, file = os.environ.get(_BACKEND), _file()
    if given and given != _USED["backend"]:
        _overridden.append(f"{_BACKEND}={given}")
    settings = _read(file)
    if settings is None:
        _overridden.append(f"{file}, which is damaged")
        _homes.append(os.environ.get(_HOME))
        # Keras can neither read a keras.json there, nor write one.
        os.environ[_HOME] = os.devnull
    else:
        differing = [
            f"{key}={settings[key]}"
            for key, value in _USED.items()
            if settings.get(key, value) != value and not (key == "backend" and given)
        ]
        if differing:
            _overridden.append(f"{', '.join(differing)} in {file}")
    if _overridden:
        os.environ[_BACKEND] = _USED["backend"]


def apply_settings() -> None:
    """Imports Keras and applies the settings, which keras.json or a previous job may have changed.

    Raises:
        UserError: Keras was imported with another backend before `prepare_keras` was called.
    """
    prepare_keras()
    import keras

    if keras.config.backend() != _USED["backend"]:
        raise UserError(
            f"Keras has been imported with the backend {keras.config.backend()}; expected "
            f"tensorflow. Set the environment variable {_BACKEND}=tensorflow."
        )
    keras.config.set_floatx(_USED["floatx"])
    keras.config.set_epsilon(_USED["epsilon"])
    keras.config.set_image_data_format(_USED["image_data_format"])
    if _homes:
        _restore(_homes.pop())
    if _overridden:
        _log.warning(
            "expt uses Keras with TensorFlow, float32 and channels_last, and ignores %s.",
            " and ".join(_overridden),
        )
        _overridden.clear()


def _restore(home: str | None) -> None:
    # Keras has read the variable by now; other code should find the user's own value.
    os.environ.pop(_HOME)
    if home is not None:
        os.environ[_HOME] = home


def _file() -> Path:
    """Returns the path of the keras.json that Keras reads."""
    # As in `keras.src.backend.config`.
    home = os.environ.get(_HOME)
    if home is None:
        user = os.path.expanduser("~")  # noqa: PTH111  never raises
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")  # noqa: PTH118, S108
    return Path(os.path.expanduser(home)) / "keras.json"  # noqa: PTH111


def _read(file: Path) -> dict[str, Any] | None:
    """Returns the settings in a keras.json; None if Keras would raise an exception for it."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    is_right = isinstance(settings, dict) and (
        settings.get("floatx", "float32") in ("float16", "float32", "float64")
        and isinstance(settings.get("epsilon", 1e-7), float)
        and settings.get("image_data_format", "channels_last")
        in ("channels_last", "channels_first")
    )
    return settings if is_right else None
