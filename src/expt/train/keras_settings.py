"""What Keras is set to, whatever a user's environment and keras.json say.

Keras reads both once, when it is imported, and what it finds there changes models: the layout of
images, the type of weights, the backend. A value that it does not know keeps it from being
imported. Importing this module imports neither Keras nor TensorFlow.
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
_overridden: list[str] = []
_homes: list[str | None] = []


@cache
def prepare_keras() -> None:
    """Sets in the environment, also of child processes, what Keras must find there.

    A command calls it first of all: modules of users' own may import Keras.
    """
    given, file = os.environ.get(_BACKEND), _file()
    if given and given != _USED["backend"]:
        _overridden.append(f"{_BACKEND}={given}")
    settings = _read(file)
    if settings is None:
        _overridden.append(f"{file}, which is damaged")
        _homes.append(os.environ.get(_HOME))
        os.environ[_HOME] = os.devnull  # there is no such file there, nor can one be written
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
    """Imports Keras, and sets what `keras.json` or a job before this one may have set otherwise.

    Raises:
        UserError: Keras was imported with another backend before `prepare_keras` was called.
    """
    prepare_keras()
    import keras

    if keras.config.backend() != _USED["backend"]:
        raise UserError(
            f"Keras has been imported with the backend {keras.config.backend()}; expected "
            f"tensorflow: set {_BACKEND}=tensorflow."
        )
    keras.config.set_floatx(_USED["floatx"])
    keras.config.set_epsilon(_USED["epsilon"])
    keras.config.set_image_data_format(_USED["image_data_format"])
    if _homes:
        _restore(_homes.pop())
    if _overridden:
        _log.warning(
            "expt trains with Keras on TensorFlow, float32 and channels_last, in spite of %s.",
            " and ".join(_overridden),
        )
        _overridden.clear()


def _restore(home: str | None) -> None:
    os.environ.pop(_HOME)
    if home is not None:
        os.environ[_HOME] = home


def _file() -> Path:
    """Returns the place of the file that Keras reads."""
    home = os.environ.get(_HOME)
    if home is None:
        user = os.path.expanduser("~")  # noqa: PTH111  never raises
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")  # noqa: PTH118, S108
    return Path(os.path.expanduser(home)) / "keras.json"  # noqa: PTH111


def _read(file: Path) -> dict[str, Any] | None:
    """Returns what a keras.json says; None if Keras would end with a traceback at it."""
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
