"""The states of a training after each of its steps, logged to a folder and compared.

A state is the content of a checkpoint: all tensors, and the plain values of early stopping and of
the best evaluation.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.train.checkpoint import Checkpoint, CheckpointWriter

_FILE = "states.jsonl"
# Per training. Digests are kept of all tensors; without the values a difference is found all the
# same, but its size is unknown.
_MOST_BYTES = 1 << 30
_NAME = re.compile(r"(?P<group>.*?)/\d+ (?P<path>.*)")
# The order in which tensors are searched for the one to report: users know the weights best.
_GROUPS = ("network", "random", "optimizer", "schedule", "best")


class CallbackCheckpointWriter(CheckpointWriter):
    """A checkpoint writer that calls a function with the checkpoint of every step.

    Not every checkpoint is written to disk; the function sees them all.
    """

    def __init__(
        self,
        callback: Callable[[Checkpoint], None],
        folder: Path,
        keep: int,
        prepare: Callable[[], None],
    ) -> None:
        super().__init__(folder, keep, prepare)
        self._callback = callback

    def is_due(self) -> bool:
        """Whether a checkpoint is due: after every step."""
        return True

    def write(self, checkpoint: Checkpoint) -> None:
        """Calls the function, and writes the checkpoint as the base class does."""
        self._callback(checkpoint)
        super().write(checkpoint)


class StateLog:
    """A log of states in a folder: a digest of every tensor, and the values up to 1 GiB."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, _MOST_BYTES

    def add(self, checkpoint: Checkpoint) -> None:
        """Adds the state of a step."""
        step, arrays = checkpoint.step, checkpoint.arrays
        tensors = {name: [_digest(array), array.size] for name, array in arrays.items()}
        line = {"step": step, "tensors": tensors, "facts": _compared(checkpoint.facts)}
        with (self._folder / _FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._left -= sum(array.nbytes for array in arrays.values())
        if self._left >= 0:
            np.savez(_values_file(self._folder, step), allow_pickle=False, **arrays)


@dataclass(frozen=True)
class StepState:
    """A logged state.

    Attributes:
        tensors: The digest and the number of values of each tensor, by name.
        facts: The plain values of the state as JSON text, by a name for users.
    """

    tensors: Mapping[str, tuple[str, int]]
    facts: Mapping[str, Any]


def read_states(folder: Path) -> dict[int, StepState]:
    """Returns the logged states of a folder by step."""
    lines = (folder / _FILE).read_text(encoding="utf-8").splitlines()
    return {
        state["step"]: StepState(state["tensors"], state["facts"])
        for state in map(json.loads, lines)
    }


def first_difference(one: Path, other: Path) -> str | None:
    """Returns the first difference between two logs of states in words, or None if there is none.

    Args:
        one: The folder of a log with all steps.
        other: The folder of the log whose steps are compared.
    """
    states, others = read_states(one), read_states(other)
    for step in sorted(others):
        if step not in states:
            return f"after step {step}: only one of the trainings reached this step"
        here, there = states[step], others[step]
        names = sorted(here.tensors.keys() | there.tensors.keys(), key=_rank)
        differing = [name for name in names if here.tensors.get(name) != there.tensors.get(name)]
        if differing:
            values = [_read(folder, step, differing[0]) for folder in (one, other)]
            more = f"; {len(differing)} of {len(names)} tensors differ"
            return f"after step {step}: {_shown(differing[0])}{_amount(*values)}{more}"
        for key, fact in here.facts.items():
            if fact != there.facts.get(key):
                return f"after step {step}: {key} is {fact} and {there.facts.get(key)}"
    return None


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the plain values of a checkpoint as JSON text, so that NaN equals NaN."""
    # The elapsed time differs between any two trainings.
    stopping = {key: value for key, value in facts["stopping"].items() if key != "seconds"}
    kept = {"early stopping": stopping, "the best evaluation": facts["best"]}
    return {name: json.dumps(values, sort_keys=True) for name, values in kept.items()}


def _digest(array: NDArray[Any]) -> str:
    # Dtype and shape are part of the digest: arrays of zeros have the same bytes in many dtypes.
    digest = hashlib.blake2b(f"{array.dtype} {array.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _values_file(folder: Path, step: int) -> Path:
    return folder / f"values_{step:07d}.npz"


def _read(folder: Path, step: int, name: str) -> NDArray[Any] | None:
    file = _values_file(folder, step)
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored).get(name)


def _rank(name: str) -> tuple[int, str]:
    ranks = [rank for rank, group in enumerate(_GROUPS) if name.startswith(group)]
    return (ranks or [len(_GROUPS)])[0], name


def _shown(name: str) -> str:
    match = _NAME.fullmatch(name)
    return f"{match['path']} ({match['group'].removesuffix(' 0')})" if match else name


def _amount(one: NDArray[Any] | None, other: NDArray[Any] | None) -> str:
    """Returns the number of values that differ, and by how much; empty if unknown."""
    if one is None or other is None:
        return ""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f" is {one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
    # Compared as bytes: NaN does not equal NaN as a float, and 0.0 equals -0.0.
    bits = [np.ascontiguousarray(a).reshape(-1, 1).view(np.uint8) for a in (one, other)]
    count = int((bits[0] != bits[1]).any(axis=-1).sum())
    text = f" in {count:,} of {one.size:,} values"
    # There is no distance between values of other dtypes, such as strings.
    if one.dtype.kind not in "fiub":
        return text
    gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    finite = gaps[np.isfinite(gaps)]
    return f"{text}, by at most {finite.max():.3g}" if finite.size else text
