"""What users are told of a proof."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from expt.errors import RunError, UserError
from expt.parts.data.dataset import Dataset
from expt.verification.comparison import BitwiseComparison, compare
from expt.verification.data import describe_splits, differing_splits
from expt.verification.processes import Outcome
from expt.verification.proof import Proof
from expt.verification.worker import (
    DATA_FILE,
    INSPECTION_FILE,
    INTERRUPTED,
    REPEAT,
    RESUMED,
    WHOLE,
)

_KEEP = (
    "  remedy   draw by keras.random.…(…, seed=self.seeds), where the layer has made self.seeds = "
    "keras.random.SeedGenerator(…) in its __init__; keep other state by self.add_weight(…, "
    "trainable=False). Checkpoints have both."
)
_DATA = (
    "  cause    the data source gives something else each time that it is asked",
    "  remedy   sort the files and rows that it finds; draw by numpy.random.default_rng(seed), "
    "made anew in each load or read",
)
_HIDDEN = (
    "  cause    {0} random numbers without a seed are likely, such as those of "
    "numpy.random.default_rng(), or a part that keeps something to itself",
    "  remedy   take the seed as an argument; keep state in variables of the layers",
)


def intention(proof: Proof) -> Iterator[str]:
    """Yields the lines on what is done."""
    loop = proof.job.config.loop
    yield (
        f"{proof.total_steps} steps on {proof.batches} batches of the data, evaluated every "
        f"{loop.eval_every}: whole, once more, and interrupted after step {proof.interrupt_at} "
        "and resumed; each in a process of its own"
    )
    if proof.left_out:
        yield f"without {', '.join(proof.left_out)}, which might end it before"


def judge(
    folder: Path, dataset: Dataset, proof: Proof, outcomes: Mapping[str, Outcome]
) -> tuple[list[str], bool]:
    """Returns the lines on what came out, and whether all bits are the same.

    Args:
        folder: Of the proof.
        dataset: The user's, as this process loaded it.
        proof: What was done.
        outcomes: How the processes ended, by name.

    Raises:
        UserError: The config can't be trained.
        RunError: A process failed.
    """
    for name in outcomes:
        file = folder / name / DATA_FILE
        loaded = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if "splits" in loaded:
            difference = differing_splits(describe_splits(dataset), loaded["splits"])
            return [f"different: the data: loaded once more, {difference}", *_DATA], False
    _raise_failure(outcomes)
    repeat = compare(folder, WHOLE, REPEAT, REPEAT)
    title = f"resume after step {proof.interrupt_at}"
    lines = [*_on("repeat", repeat)]
    if not repeat.is_same:
        lines.append(f"not judged: {title}: what a repeat does not give, it can't either")
        return [*lines, *_causes(repeat, folder, is_repeat=True)], False
    if outcomes[RESUMED].code != 0:
        lines += [f"different: {title}", f"  failed   {outcomes[RESUMED].error}"]
        return [*lines, *_causes(repeat, folder)], False
    resume = compare(folder, WHOLE, RESUMED, INTERRUPTED)
    lines += _on(title, resume)
    if resume.is_same:
        return [*lines, *_notes(folder)], True
    return [*lines, *_causes(resume, folder)], False


def _raise_failure(outcomes: Mapping[str, Outcome]) -> None:
    """Raises what was wrong with the trainings that begin with the first step."""
    for name in (WHOLE, REPEAT, INTERRUPTED):
        outcome = outcomes.get(name)
        if outcome is not None and outcome.code != 0:
            if name != WHOLE:
                raise RunError(
                    f"the {name} training failed, and the whole one did not: {outcome.error}"
                )
            raise (UserError if outcome.code == 2 else RunError)(outcome.error)


def _on(title: str, compared: BitwiseComparison) -> Iterator[str]:
    if compared.is_same:
        yield (
            f"same bits: {title}: the data, {compared.records} records of the journal, and "
            f"{compared.tensors} tensors of {compared.values:,} values after each of "
            f"{compared.steps} steps"
        )
        return
    yield f"different: {title}"
    for what in ("data", "journal", "state"):
        yield f"  {what:<8} {getattr(compared, what) or 'the same'}"


def _causes(compared: BitwiseComparison, folder: Path, *, is_repeat: bool = False) -> list[str]:
    """Returns the lines on why something differs."""
    if compared.data is not None:
        return list(_DATA)
    found = _found(folder)
    lines = [f"  cause    {line}" for line in found]
    if is_repeat:
        return lines + [line.format("even a repeat differs:") for line in _HIDDEN]
    if found:
        return [*lines, _KEEP]
    return [line.format("the step's graph shows none:") for line in _HIDDEN]


def _notes(folder: Path) -> list[str]:
    """Returns the lines on what may make a longer run differ."""
    return [
        f"note: {line}; that made no difference here, but may in a longer run"
        for line in _found(folder)
    ]


def _found(folder: Path) -> list[str]:
    """Returns what can't be restored."""
    file = folder / INTERRUPTED / INSPECTION_FILE
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "failure" in found:
        return [f"the step can't be looked into: {found['failure']}"]
    return [
        *(
            f"{place} changes the variable {name}, which no checkpoint holds"
            for name, place in found["variables"]
        ),
        *(
            f"{place} draws by {name}, and how far it has drawn is in no checkpoint"
            for name, place in found["random"]
        ),
        *(
            f"{place} calls Python ({name}), and what Python keeps is in no checkpoint"
            for name, place in found["python"]
        ),
    ]
