"""Hashes that identify runs with the same result, and the values that they cover."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

# Keys that change where and how a run is recorded, but not its numbers. `data.path` is replaced by
# the fingerprint of the data.
_WITHOUT_EFFECT = (
    "name",
    "output_dir",
    "recorder",
    "probe",
    "doctor",
    "sweep",
    "sweeper",
    "launcher",
    "data.path",
    "loop.image_every",
    "loop.save_every",
    "loop.keep_checkpoints",
    "loop.profile",
)


class Flat(Protocol):
    """A config that can be flattened.

    This protocol replaces `Config`, whose module imports Hydra, so that commands that only list
    runs start without it.
    """

    def flat(self, *, declarations: bool = False) -> dict[str, Any]:
        """Returns the values by full key, with or without declarations of parts."""


def run_hash(config: Flat, data_fingerprint: str, code: str) -> str:
    """Returns a SHA-256 hash of everything that can change a run's result: config, data and code.

    Paths, recorders and names do not count, and the content of the data replaces its path. The
    versions of installed packages are recorded beside the hash, but are not part of it.

    Args:
        config: The config of the run.
        data_fingerprint: The fingerprint of the run's data set.
        code: The hash of the code that the run executes.

    Returns:
        64 hexadecimal digits.
    """
    return _digest(identity(config, data_fingerprint, code))


def identity(config: Flat, data_fingerprint: str, code: str) -> dict[str, Any]:
    """Returns the values that the run hash covers, by full key.

    Args:
        config: The config of the run.
        data_fingerprint: The fingerprint of the run's data set, returned as `data`.
        code: The hash of the code that the run executes, returned as `code`.
    """
    values = config.flat(declarations=True)
    relevant = {key: value for key, value in values.items() if has_effect(key)}
    return {**relevant, "data": data_fingerprint, "code": code}


def has_effect(key: str) -> bool:
    """Whether the value of a full key can change the numbers of a run."""
    return not any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_EFFECT)


def variant_hash(config: Flat, data_fingerprint: str, code: str) -> str:
    """Returns the run hash without the seed, which is equal for all seeds of a variant."""
    values = identity(config, data_fingerprint, code)
    del values["seed"]
    return _digest(values)


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
