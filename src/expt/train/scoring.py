"""Which examples an evaluation scores: none that the run was trained on, unless it is asked to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import shared_note
from expt.parts.data.example_hashes import ExampleHashes
from expt.parts.data.joined import joined
from expt.runs.find import FoundRun
from expt.train.saved_model import LoadedData

ALL = "all"


@dataclass(frozen=True)
class Scored:
    """The examples that an evaluation scores.

    Attributes:
        examples: They.
        split: The split that they are of; `all` is all three.
        label: Says in names of results what was scored: `test`, or `all-new-1a2b3c4d` for the new
            examples of data with that fingerprint.
        notes: What a user should know of the choice, a sentence each.
        left_out: How many examples were left out, by the run's split that has them: train, val.
    """

    examples: Split
    split: str
    label: str
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def choose_examples(run: FoundRun, loaded: LoadedData, name: str | None) -> Scored:
    """Chooses what to score.

    Of the run's own data, unchanged, that is one of its splits as it was trained. Of other data,
    and of data that has changed since, examples with inputs that the run was trained on, or that
    its best model was chosen by, are left out.

    Args:
        run: The run, which keeps hashes of its examples.
        loaded: The data.
        name: `train`, `val`, `test`, `all`; None is `test` of the run's own data, and `all` of
            other data.

    Raises:
        UserError: There is no such split, nothing is left, or it is not known what is new.
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


def _of_own(dataset: Dataset, name: str) -> Scored:
    shared = shared_note(dataset)
    notes = () if shared is None else (shared,)
    if name != ALL:
        return Scored(dict(dataset.splits())[name], name, name, notes)
    note = (
        f"split=all includes the {len(dataset.train):,} examples that the run was trained on and "
        f"the {len(dataset.validation):,} that its best model was chosen by, so that scores are "
        "too good for new data."
    )
    whole = joined([split for _, split in dataset.splits()])
    return Scored(whole, name, name, (note,))


def _recorded_hashes(run: FoundRun) -> ExampleHashes | None:
    kind: Any = run.record.data.example_hashes
    return None if kind is None else ExampleHashes.read(run.directory, kind)


def _unchecked(run: FoundRun, dataset: Dataset, chosen: list[Split], name: str | None) -> Scored:
    """Scores the whole of data of which nobody knows whether the run was trained on it."""
    is_older = "example_hashes" not in run.record.data.model_fields_set
    reason = (
        "it was recorded before runs kept hashes of their examples"
        if is_older
        else "its inputs were a stream that can't be hashed without reading it once more"
    )
    if name is not None and name != ALL:
        raise UserError(
            f"split={name}: data={dataset.name} is not the data of {run.directory.name}, or has "
            f"changed, and whether its {name} split has examples that the run was trained on is "
            f"not known, since {reason}. Restore the data; or score all examples: split={ALL}"
        )
    whole = joined(chosen)
    note = (
        f"all {len(whole):,} examples are scored; the run may have been trained on some of them, "
        f"which is not known, since {reason}. If it was, scores are too good."
    )
    return Scored(whole, ALL, f"{ALL}-unchecked-{dataset.fingerprint[:8]}", (note,))


def _new_ones(
    run: FoundRun, dataset: Dataset, chosen: list[Split], name: str, hashes: ExampleHashes
) -> Scored:
    """Leaves out what the run was trained on, and what its best model was chosen by."""
    of_each = [hashes.find(split) for split in chosen]
    found = {part: np.concatenate([one[part] for one in of_each]) for part in of_each[0]}
    is_new = ~(found["train"] | found["val"])
    left_out = {
        "train": int(found["train"].sum()),
        "val": int((found["val"] & ~found["train"]).sum()),
    }
    which = f"data={dataset.name}" if name == ALL else f"the {name} split of data={dataset.name}"
    if not is_new.any():
        raise UserError(
            f"{which}: nothing is left to score. It is not the data of {run.directory.name}, or "
            f"has changed since, and of its {len(is_new):,} examples {_counted(left_out)}. "
            "Expected examples with other inputs, or the data as it was. python -m expt.predict "
            "predicts for any."
        )
    examples, label = joined(chosen), name
    if not is_new.all():
        examples, label = examples.take(np.flatnonzero(is_new)), f"{name}-new"
    note = _note(which, len(is_new), left_out, int((found["test"] & is_new).sum()), name)
    label = f"{label}-{dataset.fingerprint[:8]}"
    return Scored(examples, name, label, (note,), left_out)


def _counted(left_out: Mapping[str, int]) -> str:
    return (
        f"the run was trained on the inputs of {left_out['train']:,} and chose its best model by "
        f"those of {left_out['val']:,}"
    )


def _note(which: str, total: int, left_out: Mapping[str, int], tested: int, name: str) -> str:
    left = total - sum(left_out.values())
    text = f"{which} is not what the run was trained on, or has changed since: "
    if left == total:
        return text + f"all {total:,} examples are scored, and the run was trained on none of them."
    known = f" ({tested:,} of them are in the run's own test split)" if tested else ""
    training = "" if name != "train" else " The values are none of training data."
    return (
        f"{text}of its {total:,} examples {left:,} are scored{known}; {total - left:,} are left "
        f"out, since {_counted(left_out)}, duplicates included.{training}"
    )
