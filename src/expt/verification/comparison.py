"""Bitwise comparison of two trainings of a verification, with the first difference found."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.record.journal import FILE_NAME, read_journal
from expt.verification.data import differing_batches
from expt.verification.states import first_difference, read_states
from expt.verification.worker import DATA_FILE, RUN


@dataclass(frozen=True)
class BitwiseComparison:
    """The result of comparing a training with the whole, uninterrupted one.

    Attributes:
        steps: The number of steps after which states were compared.
        tensors: The number of tensors in a state.
        values: The number of values in these tensors.
        records: The number of compared journal records.
        data: The first difference in the data; None if there is none.
        journal: The first difference in the journals; None if there is none.
        state: The first difference in the states, with step and tensor; None if there is none.
    """

    steps: int
    tensors: int
    values: int
    records: int
    data: str | None
    journal: str | None
    state: str | None

    @property
    def is_same(self) -> bool:
        """Whether data, journals and states are equal, bit for bit."""
        return self.data is None and self.journal is None and self.state is None


def compare(folder: Path, whole: str, other: str, run_owner: str) -> BitwiseComparison:
    """Compares the results of two processes of a verification.

    Args:
        folder: The folder of the verification.
        whole: The name of the process that trained all steps without interruption.
        other: The name of the process to compare with it, which trained all steps or the last ones.
        run_owner: The name of the process in whose folder the run of `other` is. For a resumed
            training this is the interrupted one, since a run is resumed in place.
    """
    states = read_states(folder / other)
    last = states[max(states)]
    journals = [_journal(folder / name / RUN) for name in (whole, run_owner)]
    return BitwiseComparison(
        steps=len(states),
        tensors=len(last.tensors),
        values=sum(size for _, size in last.tensors.values()),
        records=len(journals[1]),
        data=differing_batches(*(_batches(folder / name) for name in (whole, other))),
        journal=_differing_records(*journals),
        state=first_difference(folder / whole, folder / other),
    )


def _batches(folder: Path) -> Mapping[str, Any]:
    batches: Mapping[str, Any] = json.loads((folder / DATA_FILE).read_text())["batches"]
    return batches


def _journal(directory: Path) -> list[dict[str, str]]:
    """Returns the records of a run's journal, without times and speeds, with values as text."""
    # As text, NaN equals NaN, and repr distinguishes all other floats, including 0.0 and -0.0.
    return [
        {
            key: repr(value)
            for key, value in record.items()
            if key != "time" and not key.startswith("perf/")
        }
        for record in read_journal(directory / FILE_NAME)
    ]


def _differing_records(one: list[dict[str, str]], other: list[dict[str, str]]) -> str | None:
    # Not strict: a missing record at the end is reported after the first difference in values.
    for here, there in zip(one, other, strict=False):
        for key in here | there:
            if here.get(key) != there.get(key):
                values = (record.get(key, "missing") for record in (here, there))
                return f"at step {here['step']}: {key} is {' and '.join(values)}"
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} records"
    return None
