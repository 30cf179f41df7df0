"""What the trainings of a proof have in common, and the first thing in which they differ."""

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
    """How a training compares with the whole one.

    Attributes:
        steps: After how many steps states are compared.
        tensors: How many a state has.
        values: How many numbers are in these.
        records: How many of the journal are compared.
        data: How the data differs first; None if it does not.
        journal: How the journal differs first.
        state: The first tensor that differs, and after which step.
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
        """Whether everything is, bit for bit."""
        return self.data is None and self.journal is None and self.state is None


def compare(folder: Path, whole: str, other: str, of_run: str) -> BitwiseComparison:
    """Compares what two processes of a proof left.

    Args:
        folder: Of the proof.
        whole: The name of the one that trained all steps.
        other: The name of one that trained all or the last of them.
        of_run: The name of the one that has the run of `other`.
    """
    states = read_states(folder / other)
    last = states[max(states)]
    journals = [_journal(folder / name / RUN) for name in (whole, of_run)]
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
    """The records without what the clock measures, as texts: NaN equals NaN."""
    return [
        {
            key: repr(value)
            for key, value in record.items()
            if key != "time" and not key.startswith("perf/")
        }
        for record in read_journal(directory / FILE_NAME)
    ]


def _differing_records(one: list[dict[str, str]], other: list[dict[str, str]]) -> str | None:
    for here, there in zip(one, other, strict=False):
        for key in here | there:
            if here.get(key) != there.get(key):
                values = (record.get(key, "missing") for record in (here, there))
                return f"at step {here['step']}: {key} is {' and '.join(values)}"
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} records"
    return None
