"""Hashes that tell whether two runs can have the same result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

# What changes where and how a run is recorded, but not its numbers.
_WITHOUT_EFFECT = (
    "name",
    "output_dir",
    "recorder",
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
    """A config; its own class comes with Hydra, without which runs are listed."""

    def flat(self, *, declarations: bool = False) -> dict[str, Any]:
        """Returns the values by full key."""


def run_hash(config: Flat, data_fingerprint: str, code: str) -> str:
    """Returns a hash over everything in the config that can change the result, data and code.

    Paths, recorders and names are left out; the data's content replaces its path. The versions of
    installed packages are recorded beside the hash, not in it.

    Args:
        config: A job's.
        data_fingerprint: Of its data set.
        code: The hash of the modules that it runs.
    """
    return _digest(identity(config, data_fingerprint, code))


def identity(config: Flat, data_fingerprint: str, code: str) -> dict[str, Any]:
    """Returns all that the run hash is over, by full key; `data` is the fingerprint."""
    values = config.flat(declarations=True)
    relevant = {key: value for key, value in values.items() if has_effect(key)}
    return {**relevant, "data": data_fingerprint, "code": code}


def has_effect(key: str) -> bool:
    """Whether the value of a full key can change a run's numbers."""
    return not any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_EFFECT)


def variant_hash(config: Flat, data_fingerprint: str, code: str) -> str:
    """Returns the run hash without the seed: equal for the repeats of one variant."""
    values = identity(config, data_fingerprint, code)
    del values["seed"]
    return _digest(values)


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
