"""The states of a training after each of its steps, kept in a folder and compared."""

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
_MOST_BYTES = 1 << 30  # of a training's values; digests are kept of all
_NAME = re.compile(r"(?P<group>.*?)/\d+ (?P<path>.*)")
_GROUPS = ("network", "random", "optimizer", "schedule", "best")


class ShowingWriter(CheckpointWriter):
    """Shows a function the checkpoint of every step; it need not write all of them."""

    def __init__(
        self,
        show: Callable[[Checkpoint], None],
        folder: Path,
        keep: int,
        prepare: Callable[[], None],
    ) -> None:
        super().__init__(folder, keep, prepare)
        self._show = show

    def is_due(self) -> bool:
        """Every step is."""
        return True

    def write(self, checkpoint: Checkpoint) -> None:
        """Shows and takes a checkpoint."""
        self._show(checkpoint)
        super().write(checkpoint)


class StateLog:
    """Keeps states in a folder: a digest of every tensor, and the values while there is room."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, _MOST_BYTES

    def add(self, checkpoint: Checkpoint) -> None:
        """Keeps the state of a step."""
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
    """What is kept of a state.

    Attributes:
        tensors: A digest and the number of values, by name.
        facts: Plain values that are part of it.
    """

    tensors: Mapping[str, tuple[str, int]]
    facts: Mapping[str, Any]


def read_states(folder: Path) -> dict[int, StepState]:
    """Returns the states in a folder by their steps."""
    lines = (folder / _FILE).read_text(encoding="utf-8").splitlines()
    return {
        state["step"]: StepState(state["tensors"], state["facts"])
        for state in map(json.loads, lines)
    }


def first_difference(one: Path, other: Path) -> str | None:
    """Tells the first step and in it the first tensor that differ, or None if none does.

    Args:
        one: A folder of states.
        other: Another one; its steps are compared.
    """
    states, others = read_states(one), read_states(other)
    for step in sorted(others):
        if step not in states:
            return f"after step {step}: only one of the two came so far"
        here, there = states[step], others[step]
        names = sorted(here.tensors.keys() | there.tensors.keys(), key=_rank)
        differing = [name for name in names if here.tensors.get(name) != there.tensors.get(name)]
        if differing:
            values = [_read(folder, step, differing[0]) for folder in (one, other)]
            more = f"; {len(differing)} of {len(names)} tensors differ"
            return f"after step {step}: {_shown(differing[0])}{_amount(*values)}{more}"
        for key, fact in here.facts.items():
            if fact != there.facts.get(key):
                return f"after step {step}: what {key} has seen: {fact}, {there.facts.get(key)}"
    return None


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a checkpoint that no clock has a part in, as texts: NaN equals NaN."""
    stopping = {key: value for key, value in facts["stopping"].items() if key != "seconds"}
    kept = {"early stopping": stopping, "the best evaluation": facts["best"]}
    return {name: json.dumps(values, sort_keys=True) for name, values in kept.items()}


def _digest(array: NDArray[Any]) -> str:
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
    """How many values differ and by how much; nothing if that is not known."""
    if one is None or other is None:
        return ""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f" is {one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
    bits = [np.ascontiguousarray(a).reshape(-1, 1).view(np.uint8) for a in (one, other)]
    count = int((bits[0] != bits[1]).any(axis=-1).sum())
    text = f" in {count:,} of {one.size:,} values"
    if one.dtype.kind not in "fiub":
        return text
    gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    finite = gaps[np.isfinite(gaps)]
    return f"{text}, by at most {finite.max():.3g}" if finite.size else text
