"""Checks whether the code of a recorded run has changed, and the notes and errors if it has."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from expt.config.schema import Config
from expt.config.sources import Code, changed_modules, part_modules
from expt.errors import UserError
from expt.runs.records import RunRecord
from expt.runs.run import PreviousRun

ALLOW_OPTION = "--allow-code-change"
_MAX_NAMED = 5
_UNKNOWN = "not recorded"
# The groups whose parts are still executed when a finished run's model is used or evaluated.
_MODEL_GROUPS = ("model", "act")
_EVALUATION_GROUPS = (*_MODEL_GROUPS, "loss", "metric", "data")


def recorded_code(record: RunRecord) -> Code | None:
    """Returns the recorded code of a run; None for runs of versions that did not record it."""
    return None if record.code is None else Code(record.code.hash, record.code.modules)


def known_hashes(record: RunRecord) -> list[str]:
    """Returns the hashes of all code that a run was trained with, the current one last."""
    previous = [entry.code.before for entry in record.resumed if entry.code is not None]
    now = None if record.code is None else record.code.hash
    return [str(code or _UNKNOWN) for code in (*previous, now)]


def check_code(previous: PreviousRun, code: Code, directory: Path) -> list[str]:
    """Checks that a run is resumed with the code that it was started with.

    Args:
        previous: The previous run.
        code: The code that the resumed run would execute.
        directory: Directory of the run.

    Returns:
        The names of changed modules, if changes are allowed. Empty if the run has no record of its
        code.

    Raises:
        UserError: The code has changed, and changes are not allowed.
    """
    before = recorded_code(previous.record)
    changed = [] if before is None else changed_modules(before.modules, code.modules)
    # With changed code, no single version of the code can repeat the result. Hence the explicit
    # option, and a different hash of the run.
    if changed and not previous.allows_code_change:
        where = shlex.quote(os.path.relpath(directory))
        raise UserError(
            f"the code has changed since {where} began: {listed(changed)}. Restore it.\n"
            f"To start a new run instead: python -m expt.run --rerun {where}\n"
            "To continue with the changed code, which is then noted in run.json: "
            f"python -m expt.resume {where} {ALLOW_OPTION}"
        )
    return changed


def resume_note(record: RunRecord, changed: Sequence[str]) -> str | None:
    """Returns a note if a resumed run continues with changed code, or has no record of its code.

    Args:
        record: Record of the run.
        changed: The names returned by `check_code`.
    """
    if recorded_code(record) is None:
        return "the run has no record of its code, so changes since then can't be detected."
    return f"continuing with changed code: {listed(changed)}." if changed else None


def rerun_note(record: RunRecord, code: Code) -> str | None:
    """Returns a note if a new run of a recorded config executes modules that have changed."""
    before = recorded_code(record)
    changed = [] if before is None else _changed_in_both(before.modules, code.modules)
    return f"changed since the recorded run: {listed(changed)}." if changed else None


def use_note(record: RunRecord, config: Config, *, evaluates: bool) -> str | None:
    """Returns a note if parts that a finished run's model still uses have changed.

    Args:
        record: Record of the run.
        config: Config of the run.
        evaluates: Whether loss, metrics and data are used in addition to the model.

    Raises:
        UserError: A module can't be read.
    """
    before = recorded_code(record)
    if before is None:
        return None
    now = part_modules(config, _EVALUATION_GROUPS if evaluates else _MODEL_GROUPS)
    changed = _changed_in_both(before.modules, now)
    if not changed:
        return None
    return f"changed since the run: {listed(changed)}; results may differ from those of the run."


def _changed_in_both(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the changed modules among those in both, since other data has other modules."""
    return changed_modules(
        *({name: each[name] for name in before.keys() & now.keys()} for each in (before, now))
    )


def listed(modules: Sequence[str]) -> str:
    """Returns names of modules as text, at most the first five."""
    more = len(modules) - _MAX_NAMED
    shown = ", ".join(modules[:_MAX_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
