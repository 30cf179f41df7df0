"""The parameters that TensorBoard's HParams show of a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expt.config.quoting import given
from expt.runs.naming import varying
from expt.runs.run import Run
from expt.runs.sweeps import planned_jobs

MISSING = "none"
"""The value of a parameter that a run's parts don't have."""

_OF_ALL = (
    *("act", "data", "loss", "model", "optimizer", "schedule"),
    *("seed", "data.batch_size", "optimizer.learning_rate", "loop.epochs"),
)
_NOT_SHOWN = ("name", "output_dir", "recorder")


def hparams(run: Run) -> dict[str, bool | int | float | str]:
    """Returns the parameters of a run that are worth a column.

    They are the option of each group, the seed and what is changed most often, the same keys for
    every run, and besides what varies in the run's sweep, or was given for a run that is in none.
    Parallel coordinates have no line for a run that lacks a value, so a missing one is explicit.
    """
    own = given(run.record.overrides)
    varied = _varied(run.directory)
    keys = [*_OF_ALL, *run.record.choices, *(own if varied is None else varied)]
    values = {**own, **run.params}
    return {
        key: _plain(values.get(key, MISSING))
        for key in dict.fromkeys(keys)
        if key not in _NOT_SHOWN
    }


def _varied(directory: Path) -> Iterable[str] | None:
    """The keys that differ between the jobs of a run's sweep; None if it is in none."""
    jobs = planned_jobs(directory.parent)
    return varying([job.overrides for job in jobs.values()]) if directory.name in jobs else None


def _plain(value: Any) -> bool | int | float | str:
    """Lists and None as text, as the command line takes them: HParams take neither."""
    if value is None:
        return "null"
    return value if isinstance(value, bool | int | float | str) else str(value)
