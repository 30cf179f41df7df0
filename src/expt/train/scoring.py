"""Selects the examples that an evaluation scores, without those that the run was trained on.

Examples are recognized by the hashes of their inputs, which a run records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import duplicates_note
from expt.parts.data.example_hashes import ExampleHashes
from expt.parts.data.joined import concatenate_splits
from expt.runs.find import FoundRun
from expt.train.saved_model import LoadedData

ALL = "all"


@dataclass(frozen=True)
class ScoredExamples:
    """The examples that an evaluation scores.

    Attributes:
        examples: The examples.
        split: The split that they belong to; `all` for all three.
        label: The name of the selection in file and metric names: `test`, or `all-new-1a2b3c4d`
            for the new examples of data with that fingerprint.
        notes: Notes for the user about the selection, one sentence each.
        left_out: The number of examples left out because the run has them, by the run's split
            (`train` or `val`).
    """

    examples: Split
    split: str
    label: str
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def choose_examples(run: FoundRun, loaded: LoadedData, name: str | None) -> ScoredExamples:
    """Selects the examples to score.

    Of the run's own data, if it is unchanged, the whole split is selected. Of other data, and of
    data that has changed since, the examples are left out whose inputs are in the run's train or
    validation split.

    Args:
        run: The run, which holds hashes of its examples.
        loaded: The data to select from.
        name: `train`, `val`, `test` or `all`. None is `test` for the run's own data, and `all` for
            other data.

    Raises:
        UserError: There is no such split, no example is left, or the run has no hashes and a
            single split is requested.
    """
    dataset = loaded.dataset
    splits = dict(dataset.splits())
    if name is not None and name not in (ALL, *splits):
        raise UserError(f"split={name}: there is no such split. {hint(name, [*splits, ALL])}")
    if loaded.is_own:
        return _of_own(dataset, name or "test")
    chosen = [dataset.train] if loaded.is_whole else list(splits.values())
    if name is not None and name != ALL:
        chosen = [splits[name]]
    hashes = _recorded_hashes(run)
    if hashes is None:
        return _unchecked(run, dataset, chosen, name)
    return _new_ones(run, dataset, chosen, name or ALL, hashes)


def _of_own(dataset: Dataset, name: str) -> ScoredExamples:
    shared = duplicates_note(dataset)
    notes = () if shared is None else (shared,)
    if name != ALL:
        return ScoredExamples(dict(dataset.splits())[name], name, name, notes)
    note = (
        f"split=all includes the {len(dataset.train):,} examples that the run was trained on and "
        f"the {len(dataset.validation):,} that selected its best model, so scores are better than "
        "for new data."
    )
    whole = concatenate_splits([split for _, split in dataset.splits()])
    return ScoredExamples(whole, name, name, (note,))


def _recorded_hashes(run: FoundRun) -> ExampleHashes | None:
    kind: Any = run.record.data.example_hashes
    return None if kind is None else ExampleHashes.read(run.directory, kind)


def _unchecked(
    run: FoundRun, dataset: Dataset, chosen: list[Split], name: str | None
) -> ScoredExamples:
    """Selects all examples, with a note, if the run has no hashes to compare with.

    Raises:
        UserError: A single split is requested.
    """
    # A single split is refused: its name would suggest that the run was not trained on it.
    is_older = "example_hashes" not in run.record.data.model_fields_set
    reason = (
        "it was recorded before runs kept hashes of their examples"
        if is_older
        else "its inputs were a stream that can't be hashed without reading it again"
    )
    if name is not None and name != ALL:
        raise UserError(
            f"split={name}: data={dataset.name} is not the data of {run.directory.name}, or has "
            f"changed. It is unknown whether the run was trained on examples of its {name} split, "
            f"since {reason}. Restore the data, or score all examples: split={ALL}"
        )
    whole = concatenate_splits(chosen)
    note = (
        f"all {len(whole):,} examples are scored. It is unknown whether the run was trained on "
        f"some of them, since {reason}. If it was, scores are better than for new data."
    )
    return ScoredExamples(whole, ALL, f"{ALL}-unchecked-{dataset.fingerprint[:8]}", (note,))


def _new_ones(
    run: FoundRun, dataset: Dataset, chosen: list[Split], name: str, hashes: ExampleHashes
) -> ScoredExamples:
    """Selects the examples that are in neither the train nor the validation split of the run.

    Raises:
        UserError: No example is left.
    """
    of_each = [hashes.find(split) for split in chosen]
    found = {part: np.concatenate([one[part] for one in of_each]) for part in of_each[0]}
    is_new = ~(found["train"] | found["val"])
    left_out = {
        "train": int(found["train"].sum()),
        # Each example counts once, also if it is in both splits.
        "val": int((found["val"] & ~found["train"]).sum()),
    }
    which = f"data={dataset.name}" if name == ALL else f"the {name} split of data={dataset.name}"
    if not is_new.any():
        raise UserError(
            f"{which}: nothing is left to score. It is not the data of {run.directory.name}, or "
            f"has changed since, and of its {len(is_new):,} examples {_counted(left_out)}. "
            "Expected examples with other inputs, or the original data. To predict for any "
            "examples: python -m expt.predict"
        )
    examples, label = concatenate_splits(chosen), name
    if not is_new.all():
        examples, label = examples.take(np.flatnonzero(is_new)), f"{name}-new"
    note = _note(which, len(is_new), left_out, int((found["test"] & is_new).sum()), name)
    label = f"{label}-{dataset.fingerprint[:8]}"
    return ScoredExamples(examples, name, label, (note,), left_out)


def _counted(left_out: Mapping[str, int]) -> str:
    return (
        f"the run was trained on the inputs of {left_out['train']:,} and its best model was "
        f"selected by those of {left_out['val']:,}"
    )


def _note(which: str, total: int, left_out: Mapping[str, int], tested: int, name: str) -> str:
    left = total - sum(left_out.values())
    text = f"{which} is not what the run was trained on, or has changed since: "
    if left == total:
        return text + f"all {total:,} examples are scored, and the run was trained on none of them."
    known = f" ({tested:,} of them are in the run's own test split)" if tested else ""
    training = "" if name != "train" else " The values are not those of training data."
    return (
        f"{text}of its {total:,} examples {left:,} are scored{known}; {total - left:,} are left "
        f"out, since {_counted(left_out)}, duplicates included.{training}"
    )
