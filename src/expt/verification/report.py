"""The report of a verification: its plan, its result, and likely causes of a difference."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from expt.errors import RunError, UserError
from expt.parts.data.dataset import Dataset
from expt.verification.comparison import BitwiseComparison, compare
from expt.verification.data import describe_splits, differing_splits
from expt.verification.plan import VerificationPlan
from expt.verification.processes import Outcome
from expt.verification.worker import (
    DATA_FILE,
    INSPECTION_FILE,
    INTERRUPTED,
    REPEAT,
    RESUMED,
    WHOLE,
)

_KEEP = (
    "  fix      draw random numbers with keras.random.…(…, seed=self.seeds), where __init__ sets "
    "self.seeds = keras.random.SeedGenerator(…); keep other state in self.add_weight(…, "
    "trainable=False). Checkpoints contain both."
)
_DATA = (
    "  cause    the data source returns different data on each load or read",
    "  fix      sort the files and rows that it finds; draw random numbers with "
    "numpy.random.default_rng(seed), created anew in each load or read",
)
_HIDDEN = (
    "  cause    {0} likely causes are random numbers without a seed, such as those of "
    "numpy.random.default_rng(), or a part that keeps state outside of variables",
    "  fix      pass the seed as an argument; keep state in variables of the layers",
)


def describe_plan(plan: VerificationPlan) -> Iterator[str]:
    """Yields the lines that announce the trainings of a verification."""
    loop = plan.job.config.loop
    yield (
        f"Training {plan.total_steps} steps on {plan.batches} batches of the data, evaluated "
        f"every {loop.eval_every} steps: once whole, once repeated, and once interrupted after "
        f"step {plan.interrupt_at} and resumed, each in a separate process."
    )
    if plan.left_out:
        yield f"Ignored, since it could end the training early: {', '.join(plan.left_out)}."


def make_report(
    folder: Path, dataset: Dataset, plan: VerificationPlan, outcomes: Mapping[str, Outcome]
) -> tuple[list[str], bool]:
    """Compares the trainings of a verification.

    Args:
        folder: The folder of the verification.
        dataset: The data set as this process loaded it.
        plan: The plan of the verification.
        outcomes: The outcomes of the processes, by name.

    Returns:
        The lines of the report, and whether all bits are the same.

    Raises:
        UserError: The config can't be trained.
        RunError: A process failed.
    """
    # If the data differs between two loads, the processes stop before training, with an error that
    # is less precise than this comparison.
    for name in outcomes:
        file = folder / name / DATA_FILE
        loaded = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if "splits" in loaded:
            difference = differing_splits(describe_splits(dataset), loaded["splits"])
            return [f"different: the data: when loaded again, {difference}", *_DATA], False
    _raise_failure(outcomes)
    repeat = compare(folder, WHOLE, REPEAT, REPEAT)
    title = f"resume after step {plan.interrupt_at}"
    lines = [*_describe("repeat", repeat)]
    if not repeat.is_same:
        lines.append(f"skipped: {title}: the repeat already differs")
        return [*lines, *_causes(repeat, folder, is_repeat=True)], False
    # A resume may fail because of a part that can't be restored; that is a result and no error.
    if outcomes[RESUMED].code != 0:
        lines += [f"different: {title}", f"  failed   {outcomes[RESUMED].error}"]
        return [*lines, *_causes(repeat, folder)], False
    resume = compare(folder, WHOLE, RESUMED, INTERRUPTED)
    lines += _describe(title, resume)
    if resume.is_same:
        return [*lines, *_notes(folder)], True
    return [*lines, *_causes(resume, folder)], False


def _raise_failure(outcomes: Mapping[str, Outcome]) -> None:
    """Raises the error of the first failed training that started at the first step.

    Raises:
        UserError: The whole training failed with a user error.
        RunError: Any other training failed, or the whole one with another error.
    """
    # A config that can't be trained at all fails in the whole training, too; its error is raised as
    # a run would raise it.
    for name in (WHOLE, REPEAT, INTERRUPTED):
        outcome = outcomes.get(name)
        if outcome is not None and outcome.code != 0:
            if name != WHOLE:
                raise RunError(
                    f"the {name} training failed, but the whole training did not: {outcome.error}"
                )
            raise (UserError if outcome.code == 2 else RunError)(outcome.error)


def _describe(title: str, compared: BitwiseComparison) -> Iterator[str]:
    if compared.is_same:
        yield (
            f"same bits: {title}: the data, {compared.records} records of the journal, and "
            f"{compared.tensors} tensors with {compared.values:,} values after each of "
            f"{compared.steps} steps"
        )
        return
    yield f"different: {title}"
    for part in ("data", "journal", "state"):
        yield f"  {part:<8} {getattr(compared, part) or 'the same'}"


def _causes(compared: BitwiseComparison, folder: Path, *, is_repeat: bool = False) -> list[str]:
    """Returns the lines on the likely causes of a difference, and on their fixes."""
    # Different batches explain everything that follows from them.
    if compared.data is not None:
        return list(_DATA)
    found = _find_causes(folder)
    lines = [f"  cause    {line}" for line in found]
    # A lost state explains a failed resume, but not a repeat that differs from its first step on.
    if is_repeat:
        return lines + [line.format("even a repeat differs;") for line in _HIDDEN]
    if found:
        return [*lines, _KEEP]
    return [line.format("none is visible in the graph of the step;") for line in _HIDDEN]


def _notes(folder: Path) -> list[str]:
    """Returns the lines on state that made no difference, but may in a longer run."""
    return [
        f"note: {line}; this made no difference here, but may in a longer run"
        for line in _find_causes(folder)
    ]


def _find_causes(folder: Path) -> list[str]:
    """Returns a clause for each part of the training step whose state can't be restored."""
    file = folder / INTERRUPTED / INSPECTION_FILE
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "failure" in found:
        return [f"the step can't be inspected: {found['failure']}"]
    return [
        *(
            f"{place} changes the variable {name}, which is in no checkpoint"
            for name, place in found["variables"]
        ),
        *(
            f"{place} draws with {name}, whose random state is in no checkpoint"
            for name, place in found["random"]
        ),
        *(
            f"{place} calls Python ({name}), whose state is in no checkpoint"
            for name, place in found["python"]
        ),
    ]
