"""A run's directory and its run.json: identity, status and outcome."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expt.runs.record_parts import Status
from expt.runs.records import RunRecord, write_run

__all__ = ["Earlier", "Membership", "Run", "Status", "SweepAsRun"]

EXTENSIONS = (
    *("loop.epochs", "loop.steps", "loop.patience", "loop.time_limit"),
    "schedule.total_steps",
)
"""What may be changed when a run is resumed: how long it lasts, not what a step does."""


@dataclass(frozen=True)
class Membership:
    """What a run tells of the sweep that it is a job of.

    Attributes:
        id: The sweep's, as long as it lives.
        name: The sweep's name for people, such as `act-loss`.
        experiment: The MLflow experiment of the sweep's own run.
        variant: The job's values of what varies, the seed left out, such as `act=relu,loss=mse`.
        varied: The keys that vary in the sweep.
        run_name: The name of the job's run, such as `mlp-relu-s0`.
    """

    id: str
    name: str
    experiment: str
    variant: str
    varied: tuple[str, ...]
    run_name: str

    def to_mapping(self) -> dict[str, Any]:
        """Returns the `sweep` of run.json, where the run's own name has a place of its own."""
        values = asdict(self)
        del values["run_name"]
        return values


class SweepAsRun(RunRecord):
    """The record of a sweep as if it were a run, for its run in MLflow; no file holds it.

    Attributes:
        number_of_jobs: How many jobs the sweep has.
        results: The `metrics` and `params` that compare them; None if there are none.
    """

    number_of_jobs: int
    results: dict[str, dict[str, Any]] | None = None


@dataclass
class Run:
    """One run, as recorders see it.

    Attributes:
        directory: Where everything of the run goes.
        output_dir: The folder of all runs; the embedded MLflow store is there.
        config: The frozen config.
        params: The config flattened, with the option taken from each group under the group's name.
        record: The content of run.json.
        is_resumed: Whether an earlier process began the run, and recorded some of it.
        recorded: Bytes that the journal then had; what is beyond comes from this process.
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
        """Adds to run.json, from any thread. The file is replaced atomically."""
        with self._lock:
            self.record = self.record.updated(fields)
            write_run(self.directory, self.record)


@dataclass(frozen=True)
class Earlier:
    """What an earlier process left of a run.

    Attributes:
        record: The content of its run.json.
        changes: What is changed of the config now, by full key.
        previous: The values that the changed keys had; those that were missing are left out.
        allows_code_change: Whether the run may continue with code other than it began with.
    """

    record: RunRecord
    changes: Mapping[str, Any]
    previous: Mapping[str, Any] = field(default_factory=dict)
    allows_code_change: bool = False
