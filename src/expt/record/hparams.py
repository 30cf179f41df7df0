"""The parameters of a run in TensorBoard's HParams tab."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expt.config.quoting import values_by_key
from expt.runs.naming import varied_keys
from expt.runs.run import Run
from expt.runs.sweeps import planned_jobs

MISSING = "none"
"""The value that stands for a parameter which a run does not have."""

_COMMON = (
    *("act", "data", "loss", "model", "optimizer", "schedule"),
    *("seed", "data.batch_size", "optimizer.learning_rate", "loop.epochs"),
)
_HIDDEN = ("name", "output_dir", "recorder")  # they do not change a run's result


def hparams(run: Run) -> dict[str, bool | int | float | str]:
    """Returns the parameters of a run that have a column.

    These are the options of all groups and some common parameters, the same for every run, and the
    parameters that vary in the run's sweep. A run that is not in a sweep has those of its
    overrides instead. Missing values are `MISSING`, since parallel coordinates have no line for a
    run that lacks a value.
    """
    own = values_by_key(run.record.overrides)
    varied = _varied(run.directory)
    keys = [*_COMMON, *run.record.choices, *(own if varied is None else varied)]
    # Some overrides have no param: `~probe` removes one.
    values = {**own, **run.params}
    return {
        key: _plain(values.get(key, MISSING)) for key in dict.fromkeys(keys) if key not in _HIDDEN
    }


def _varied(directory: Path) -> Iterable[str] | None:
    """Returns the keys that differ between the jobs of a run's sweep; None if it is in none."""
    jobs = planned_jobs(directory.parent)
    return varied_keys([job.overrides for job in jobs.values()]) if directory.name in jobs else None


def _plain(value: Any) -> bool | int | float | str:
    """Returns a value that HParams support: None and lists become text, as in an override."""
    if value is None:
        return "null"
    return value if isinstance(value, bool | int | float | str) else str(value)
