"""A run as the trainer and the recorders see it: its directory, config and record."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expt.runs.record_parts import Status
from expt.runs.records import RunRecord, write_run

__all__ = ["Membership", "PreviousRun", "Run", "Status", "SweepAsRun"]

RESUMABLE_KEYS = (
    *("loop.epochs", "loop.steps", "loop.patience", "loop.time_limit"),
    "schedule.total_steps",
)
"""Keys that may be changed when a run is resumed: those that determine its length."""


@dataclass(frozen=True)
class Membership:
    """The membership of a run in a sweep.

    Attributes:
        id: Permanent id of the sweep.
        name: Human-readable name of the sweep, such as `act-loss`.
        experiment: Name of the MLflow experiment with the sweep's own run.
        variant: The overrides of the job that vary, without the seed, such as `act=relu,loss=mse`.
        varied: Keys that vary in the sweep.
        run_name: Name of the job's run, such as `mlp-relu-s0`.
    """

    id: str
    name: str
    experiment: str
    variant: str
    varied: tuple[str, ...]
    run_name: str

    def to_mapping(self) -> dict[str, Any]:
        """Returns the value of `sweep` in run.json; the run's name has its own key there."""
        values = asdict(self)
        del values["run_name"]
        return values


class SweepAsRun(RunRecord):
    """A sweep in the form of a run's record, for its own MLflow run; never written to a file.

    Attributes:
        number_of_jobs: Number of jobs of the sweep.
        results: Summary `metrics` and `params` of the jobs; None if there are none.
    """

    number_of_jobs: int
    results: dict[str, dict[str, Any]] | None = None


@dataclass
class Run:
    """A run as recorders see it.

    Attributes:
        directory: Directory for all files of the run.
        output_dir: The folder of all runs, which contains the embedded MLflow store.
        config: The frozen config.
        params: The flattened config, with the chosen option of each group under the group's name.
        record: The run's record (run.json).
        is_resumed: Whether a previous process started the run and recorded a part of it.
        recorded: Size of the journal in bytes when this process started; this process has written
            everything after that.
    """

    directory: Path
    output_dir: Path
    config: Mapping[str, Any]
    params: Mapping[str, Any]
    record: RunRecord
    is_resumed: bool = False
    recorded: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def update(self, **fields: Any) -> None:
        """Changes fields of the record and writes run.json atomically, from any thread.

        Raises:
            OSError: The file can't be written.
        """
        # Recorders write from their own threads; without the lock, one update could undo another.
        with self._lock:
            self.record = self.record.updated(fields)
            write_run(self.directory, self.record)


@dataclass(frozen=True)
class PreviousRun:
    """A previous run that is resumed, and the changes to it.

    Attributes:
        record: Record that the previous process wrote.
        changes: Changed values of the config by full key.
        previous: Previous values of the changed keys; keys that did not exist are missing.
        allows_code_change: Whether the run may continue with changed code.
    """

    record: RunRecord
    changes: Mapping[str, Any]
    previous: Mapping[str, Any] = field(default_factory=dict)
    allows_code_change: bool = False
