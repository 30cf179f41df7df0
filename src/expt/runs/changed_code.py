"""Whether the code of a recorded run is still the same, and the messages if it is not."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from expt.config.schema import Config
from expt.config.sources import Code, changed_modules, part_modules
from expt.errors import UserError
from expt.runs.records import RunRecord
from expt.runs.run import Earlier

ALLOW_OPTION = "--allow-code-change"
_MOST_NAMED = 5
_UNKNOWN = "not recorded"
# The groups whose parts a finished run's model, or its evaluation, still runs.
_OF_MODEL = ("model", "act")
_OF_EVALUATION = (*_OF_MODEL, "loss", "metric", "data")


def recorded_code(record: RunRecord) -> Code | None:
    """Returns the code in a run.json; None if the run was recorded before code was."""
    return None if record.code is None else Code(record.code.hash, record.code.modules)


def known_hashes(record: RunRecord) -> list[str]:
    """Returns the hashes of the code that a run had, the last one last."""
    earlier = [entry.code.before for entry in record.resumed if entry.code is not None]
    now = None if record.code is None else record.code.hash
    return [str(code or _UNKNOWN) for code in (*earlier, now)]


def check_code(earlier: Earlier, code: Code, directory: Path) -> list[str]:
    """Checks that a run continues with the code that it began with.

    Args:
        earlier: The run.
        code: What it would run now.
        directory: The run's.

    Returns:
        The names of the modules that have changed, if that is allowed. Of a run whose code is not
        recorded, none.

    Raises:
        UserError: The code has changed, and that is not allowed.
    """
    before = recorded_code(earlier.record)
    changed = [] if before is None else changed_modules(before.modules, code.modules)
    if changed and not earlier.allows_code_change:
        where = shlex.quote(os.path.relpath(directory))
        raise UserError(
            f"the code has changed since {where} began: {listed(changed)}. Restore it, or begin a "
            f"new run: python -m expt.run --rerun {where}. To continue with the changed code, "
            f"which run.json then says: python -m expt.resume {where} {ALLOW_OPTION}"
        )
    return changed


def resume_note(record: RunRecord, changed: Sequence[str]) -> str | None:
    """Returns a sentence for a run that continues with changed code, or with code unknown so far.

    Args:
        record: The run's run.json.
        changed: What `check_code` returned.
    """
    if recorded_code(record) is None:
        return "the run was recorded without its code; whether that has changed is unknown."
    return f"continuing with changed {listed(changed)}." if changed else None


def rerun_note(record: RunRecord, code: Code) -> str | None:
    """Returns a sentence if a new run of a recorded config runs modules that have changed."""
    before = recorded_code(record)
    changed = [] if before is None else _changed_of_both(before.modules, code.modules)
    return f"changed since the recorded run: {listed(changed)}." if changed else None


def use_note(record: RunRecord, config: Config, *, evaluates: bool) -> str | None:
    """Returns a sentence if parts that a finished run's model still uses have changed.

    Args:
        record: The run's run.json.
        config: Its config.
        evaluates: Whether metrics and data are used, and not only the model.

    Raises:
        UserError: A module can't be read.
    """
    before = recorded_code(record)
    if before is None:
        return None
    now = part_modules(config, _OF_EVALUATION if evaluates else _OF_MODEL)
    changed = _changed_of_both(before.modules, now)
    if not changed:
        return None
    return f"changed since the run: {listed(changed)}; results may differ from the run's own."


def _changed_of_both(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Leaves out the modules of parts that only one of them has, such as other data's source."""
    return changed_modules(
        *({name: each[name] for name in before.keys() & now.keys()} for each in (before, now))
    )


def listed(modules: Sequence[str]) -> str:
    """Returns names of modules for a sentence, of many the first ones."""
    more = len(modules) - _MOST_NAMED
    shown = ", ".join(modules[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
