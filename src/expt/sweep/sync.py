"""Closes runs and sweeps whose processes have died, and completes their MLflow mirrors."""

import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.frozen import read_frozen
from expt.config.params import make_params
from expt.errors import RunError, UserError
from expt.record.journal import FILE_NAME, read_journal
from expt.record.mlflow.additions import Additions
from expt.record.mlflow.completeness import completion_hash, stored_runs
from expt.record.mlflow.copies import Copies, update_sweep_place
from expt.record.mlflow.follower import reason
from expt.record.mlflow.recorder import restore_advice
from expt.record.mlflow.store import DeletedError, prepare_mlflow, repair_store, store_uri
from expt.runs.directories import LockedError, locked
from expt.runs.find import FoundRun, load_run
from expt.runs.liveness import is_alive
from expt.runs.record_base import plain_values
from expt.runs.record_parts import MLflowIds
from expt.runs.records import SWEEP_FILE
from expt.runs.run import Run, Status
from expt.sweep.mirror import is_followed, run_of_sweep
from expt.sweep.plan_reader import read_content, read_plan
from expt.sweep.sync_report import SyncReport
from expt.train.recorders import is_mlflow

_DIED = "the process ended without closing the run"


@dataclass
class Synchronization:
    """Closes runs whose processes have died, completes their mirrors, and reports the outcomes.

    Attributes:
        console: Shows one line per change or problem.
        output_dir: The folder of all runs, for runs whose own folder can't be derived.
        named: The directories that the user named. A run among them is always reported and compared
            with MLflow, and is closed even if it may still be running on another host.
        restore: Whether to restore runs that were deleted in MLflow.
    """

    console: Console
    output_dir: Path
    named: frozenset[Path]
    restore: bool = False

    def __post_init__(self) -> None:
        self._report = SyncReport(self.console)
        self._copies = Copies()
        self._stores: set[Path] = set()  # folders whose MLflow store has been checked
        self._sweeps: set[Path] = set()  # sweeps with a run that was completed
        self._mlflow_ids: list[tuple[Path, MLflowIds]] = []  # output_dir and MLflow ids of each run
        self._stored: dict[Path, dict[str, str]] = {}

    def run(self, directories: list[Path]) -> Counter[str]:
        """Closes and completes runs, then their sweeps, and prints a summary.

        Args:
            directories: Directories of the runs.

        Returns:
            The number of runs by outcome.

        Raises:
            RunError: The MLflow store can't be reached.
        """
        # Two passes, so that dead runs are closed even if MLflow can't be reached.
        for is_closing in (True, False):
            for directory in directories:
                self._process(directory, is_closing=is_closing)
        # After the runs: the sweep's own MLflow run summarizes their values.
        for sweep in dict.fromkeys(directory.resolve().parent for directory in directories):
            if (sweep / SWEEP_FILE).is_file():
                self.complete_sweep(sweep)
        self._report.summarize()
        return self._report.counts

    def _process(self, directory: Path, *, is_closing: bool) -> None:
        """Processes one run in one of the two passes.

        Args:
            directory: Directory of the run.
            is_closing: Whether this is the pass that closes dead runs; the other pass completes
                runs in MLflow.

        Raises:
            RunError: The MLflow store can't be reached.
        """
        if self._report.has_outcome(directory):
            return
        try:
            run = load_run(directory, self.output_dir)
            with locked(run.directory):
                # Read again: the process that held the lock before may have changed the record.
                run = load_run(directory, self.output_dir)
                if is_closing:
                    self._close(run, directory)
                    if place := run.record.mlflow:
                        self._mlflow_ids.append((run.output_dir, place))
                else:
                    self._complete(run, directory)
        except LockedError:
            self._report.add(directory, "running", "still running; skipped")
        except (UserError, OSError) as error:
            self._report.add(directory, "failed", reason(error))

    def complete_sweep(self, directory: Path) -> None:
        """Closes a sweep whose process has died, and updates the sweep's own run in MLflow.

        Does nothing unless the process has died, a run of the sweep was completed, or `restore`
        is set.

        Args:
            directory: Directory of the sweep.
        """
        try:
            content = read_content(directory)
            has_died = content.status is Status.RUNNING and is_alive(content) is False
            if not (has_died or directory in self._sweeps or self.restore):
                return
            plan = read_plan(directory)
            with plan.locked():
                if has_died:
                    plan.update(status=Status.KILLED, ended=time.time())
                    self._report.print(directory, "the sweep's process has died; closed as KILLED")
                if is_followed(plan) and plan.facts.get("ended") is not None:
                    sweep = run_of_sweep(plan)
                    self._mirror(sweep)
                    plan.update(mlflow=plain_values(sweep.record.mlflow))
        except DeletedError as error:
            self._report.print(directory, f"{error}. {restore_advice(directory)}")
        # MLflow's stores pass on any exception of their database drivers.
        except Exception as error:  # noqa: BLE001
            self._report.counts["failed"] += 1
            self._report.print(directory, reason(error))

    def _close(self, run: FoundRun, directory: Path) -> None:
        """Closes a run as KILLED if its process has died."""
        if run.record.status is not Status.RUNNING:
            return
        alive = is_alive(run.record)
        if alive:  # its own process, or that of its sweep, mirrors it
            self._report.add(directory, "running", "still running; skipped")
        elif alive is None and run.directory not in self.named:
            process = run.record.process
            host = (process and process.host) or "another host"
            text = f"may still be running on {host}; to close it anyway, pass its directory"
            self._report.add(directory, "running", text)
        else:
            # The time of the last journal record is closer to the end than the time of this sync.
            last = _last_record(run.directory / FILE_NAME)
            ended = last[0]["time"] if last else run.record.started
            closed = Run(run.directory, run.output_dir, {}, {}, run.record)
            closed.update(status=Status.KILLED, ended=ended, error=_DIED)
            self._report.counts["closed"] += 1
            self._report.print(directory, "its process has died; closed as KILLED")

    def _complete(self, run: FoundRun, directory: Path) -> None:
        """Completes the MLflow mirror of a closed run."""
        run.check_record()
        if self._is_complete(run, directory):
            self._report.add(directory, "complete", None)
            return
        job = read_frozen(run.directory, run.record.to_mapping())
        if not any(map(is_mlflow, job.config.recorder.values())):
            self._report.add(directory, "without", None)
            return
        config, params = job.config.to_mapping(), make_params(job)
        whole = Run(run.directory, run.output_dir, config, params, run.record, is_resumed=True)
        origin = self._update_place(whole)
        try:
            added = str(self._mirror(whole))
        except DeletedError as error:  # deleted by the user on purpose, so not a failure
            self._report.add(directory, "deleted", f"{error}. {restore_advice(run.directory)}")
        # MLflow's stores pass on any exception of their database drivers.
        except Exception as error:  # noqa: BLE001
            self._report.add(directory, "failed", reason(error))
            _check_store(run.output_dir)
        else:
            if added:
                self._sweeps.add(run.directory.parent)
            text = "complete" if run.directory in self.named else None
            text = f"added {added}" if added else text
            if origin is not None and text is not None:
                text = f"a copy of {origin['directory'] or 'another run'}; {text}"
            self._report.add(directory, "completed" if added else "complete", text)

    def _mirror(self, run: Run) -> Additions:
        """Mirrors a run or a sweep to MLflow, and returns a summary of the additions."""
        prepare_mlflow()
        from expt.record.mlflow.mirror import mirror

        return mirror(run, restore=self.restore)

    def _is_complete(self, run: FoundRun, directory: Path) -> bool:
        """Whether a run's mirror was complete, and neither of the two has changed since.

        Saves comparing all metrics of the run with those in the store. Always false for named
        runs, which are compared in any case.
        """
        kept = None if run.record.mlflow is None else run.record.mlflow.complete
        if kept is None or self.restore or directory.resolve() in self.named:
            return False
        if self._copies.settle(run.record, run.directory, run.output_dir):
            return False  # it was moved or copied
        now = completion_hash(run.directory, run.record, self._stored_in(run.output_dir))
        return now is not None and now == kept

    def _stored_in(self, output_dir: Path) -> dict[str, str]:
        """Returns a hash of each run in the store of a folder; the store is read only once."""
        if output_dir not in self._stored:
            places = [place for folder, place in self._mlflow_ids if folder == output_dir]
            try:
                self._stored[output_dir] = stored_runs(output_dir, places)
            # Each run is then compared on its own, which reports the error.
            except Exception:  # noqa: BLE001
                self._stored[output_dir] = {}
        return self._stored[output_dir]

    def _update_place(self, run: Run) -> dict[str, Any] | None:
        """Updates the record of a run that has been moved or copied.

        Returns:
            The origin of a copied run if it has just been recorded; None otherwise.
        """
        if run.output_dir not in self._stores:
            self._stores.add(run.output_dir)
            for place in repair_store(run.output_dir):
                self._report.print(
                    run.output_dir, f"the MLflow artifacts have moved here from {place}"
                )
        changes = self._copies.settle(run.record, run.directory, run.output_dir)
        if changes:
            _last_record(run.directory / FILE_NAME)  # raises if damaged, before any change
        sweep = run.directory.parent
        if (sweep / SWEEP_FILE).is_file():
            with suppress(UserError):  # `complete_sweep` reports a damaged sweep.json
                update_sweep_place(self._copies, sweep, run.output_dir)
        if changes:
            run.update(**changes)
        return changes.get("copied_from")


def _last_record(journal: Path) -> deque[dict[str, Any]]:
    """Reads a whole journal, which may be missing if the run died early.

    Returns:
        The last record; empty if there is none.

    Raises:
        UserError: The journal can't be read, or is damaged.
    """
    return deque(read_journal(journal) if journal.exists() else (), maxlen=1)


def _check_store(output_dir: Path) -> None:
    """Checks that the MLflow store can be reached, after a run has failed to be mirrored.

    Raises:
        RunError: The store can't be reached, so that all other runs would fail as well.
    """
    from mlflow import MlflowClient

    try:
        MlflowClient(store_uri(output_dir)).search_experiments(max_results=1)
    except Exception as error:
        raise RunError(f"MLflow: {reason(error)}; the remaining runs are skipped.") from error
