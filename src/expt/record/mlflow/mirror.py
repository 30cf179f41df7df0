"""The MLflow mirror: makes the MLflow run of a run or a sweep equal to its directory.

The live recorder, a sweep and `expt.sync` all use it. It is idempotent: what MLflow holds already
is compared, so that nothing is doubled or missing whatever happened to earlier processes.
"""

from collections.abc import Callable
from typing import Protocol

from expt.record.mlflow.added import Added
from expt.record.mlflow.run_mirror import RunMirror
from expt.record.mlflow.sweep_mirror import SweepMirror
from expt.runs.run import Run, SweepAsRun


class Mirror(Protocol):
    """A run or a sweep in MLflow, and how far it has followed the files."""

    added: Added

    def advance(self) -> None:
        """Adds what the files have and MLflow lacks."""

    def finish(self) -> None:
        """Adds what there is at the end only, and the status; `advance` comes before."""


def open_mirror(
    run: Run, busy: Callable[[float], None], *, is_new: bool = False, restore: bool = False
) -> Mirror:
    """Finds or creates the MLflow run of a run, or of a sweep.

    Args:
        run: A run, or a sweep as if it were one: then its record is a `SweepAsRun`.
        busy: Called before a request with how many seconds it may take.
        is_new: Whether no earlier process or try can have created it.
        restore: Whether to restore what was deleted in MLflow.

    Raises:
        DeletedError: The run or its experiment was deleted, and is not to be restored.
    """
    if isinstance(run.record, SweepAsRun):
        return SweepMirror(run, busy, restore=restore)
    return RunMirror(run, is_new, busy, restore=restore)


def mirror(run: Run, *, restore: bool = False) -> Added:
    """Makes the MLflow run of a run or a sweep that has ended equal to its directory.

    Args:
        run: See `open_mirror`.
        restore: Whether to restore what was deleted in MLflow.

    Returns:
        What MLflow lacked.

    Raises:
        DeletedError: The run or its experiment was deleted, and is not to be restored.
    """
    opened = open_mirror(run, lambda _seconds: None, restore=restore)
    opened.advance()
    opened.finish()
    return opened.added
