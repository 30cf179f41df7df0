"""Closes runs and sweeps whose process has died, and completes their MLflow mirrors."""

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from expt.config.frozen import read_frozen
from expt.config.params import make_params
from expt.errors import RunError, UserError
from expt.record.journal import FILE_NAME, read_journal
from expt.record.mlflow.completeness import completion, stored_runs
from expt.record.mlflow.copies import Copies, settled_sweep
from expt.record.mlflow.follower import reason
from expt.record.mlflow.recorder import restoring
from expt.record.mlflow.store import DeletedError, prepare_mlflow, repair_store, store_uri
from expt.runs.directories import HeldError, held
from expt.runs.find import FoundRun, load_run
from expt.runs.liveness import is_alive
from expt.runs.record_parts import MLflowIds, plain_values
from expt.runs.records import SWEEP_FILE
from expt.runs.run import Run, Status
from expt.sweep.mirror import is_followed, run_of_sweep
from expt.sweep.plan_reader import read_content, read_plan
from expt.train.recorders import is_mlflow

if TYPE_CHECKING:
    from expt.record.mlflow.added import Added

_DIED = "the process ended without closing the run"


def find_runs(names: list[str], *, is_default: bool) -> list[Path]:
    """Returns the directories of runs in the order of their names, which begin with the time.

    Raises:
        UserError: There are none.
    """
    found: dict[Path, None] = {}
    for name in names:
        inside = sorted(_runs_in(Path(name)))
        if not inside:
            place = f"{name}: there are no runs" if is_default else f"{name}: there is no run"
            raise UserError(
                f"{place}. Expected a run's directory (one that holds a run.json), or a folder "
                "with some in it."
            )
        found |= dict.fromkeys(inside)
    return list(found)


def _runs_in(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if "run.json" in files:
            yield Path(place)
            folders.clear()


@dataclass
class Synchronization:
    """Closes runs whose process has died, and completes their mirrors; counts the outcomes.

    Attributes:
        console: Shows what was done.
        output_dir: The folder of all runs, for a run that lies in none.
        named: Directories that the user named: they are reported though all is well, and closed
            though they are another host's.
        restore: Whether to restore what was deleted in MLflow.
    """

    console: Console
    output_dir: Path
    named: frozenset[Path]
    restore: bool = False

    def __post_init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._done: set[Path] = set()
        self._copies = Copies()
        self._stores: set[Path] = set()  # the folders of which the store was looked at
        self._sweeps: set[Path] = set()  # of which a run was completed
        self._places: list[tuple[Path, MLflowIds]] = []  # in the stores, as run.json has them
        self._stored: dict[Path, dict[str, str]] = {}

    def run(self, directories: list[Path]) -> Counter[str]:
        """Closes and completes runs, then the sweeps that they are in; prints a summary.

        Returns:
            How many runs there were of each outcome.

        Raises:
            RunError: The store can't be reached.
        """
        for close_first in (True, False):  # the dead are closed even if MLflow can't be reached
            for directory in directories:
                self(directory, close_first)
        for sweep in dict.fromkeys(directory.resolve().parent for directory in directories):
            if (sweep / SWEEP_FILE).is_file():
                self.complete_sweep(sweep)
        self.summarize()
        return self.counts

    def __call__(self, directory: Path, close_first: bool) -> None:
        """Closes a run if it died, or else completes it in MLflow.

        Raises:
            RunError: The store can't be reached.
        """
        if directory in self._done:
            return
        try:
            run = load_run(directory, self.output_dir)
            with held(run.directory):
                run = load_run(directory, self.output_dir)
                if close_first:
                    self._close(run, directory)
                    if place := run.record.mlflow:
                        self._places.append((run.output_dir, place))
                else:
                    self._complete(run, directory)
        except HeldError:
            self._end(directory, "running", "is running; left alone")
        except (UserError, OSError) as error:
            self._end(directory, "failed", reason(error))

    def complete_sweep(self, directory: Path) -> None:
        """Closes a sweep whose process has died, and its run in MLflow, if there is news of it."""
        try:
            content = read_content(directory)
            has_died = content.status is Status.RUNNING and is_alive(content) is False
            if not (has_died or directory in self._sweeps or self.restore):
                return
            plan = read_plan(directory)
            with plan.held():
                if has_died:
                    plan.update(status=Status.KILLED, ended=time.time())
                    self._print(directory, "the sweep's process has died; closed as KILLED")
                if is_followed(plan) and plan.facts.get("ended") is not None:
                    sweep = run_of_sweep(plan)
                    self._mirror(sweep)
                    plan.update(mlflow=plain_values(sweep.record.mlflow))
        except DeletedError as error:
            self._print(directory, f"{error}. {restoring(directory)}")
        # A store lets through whatever its drivers raise.
        except Exception as error:  # noqa: BLE001
            self.counts["failed"] += 1
            self._print(directory, reason(error))

    def summarize(self) -> None:
        """Prints how many runs there were of each kind."""
        words = {
            "complete": "complete already",
            "completed": "completed",
            "closed": "closed",
            "running": "still running",
            "without": "recorded without MLflow",
            "deleted": "deleted in MLflow",
            "failed": "not completed",
        }
        shown = ", ".join(f"{self.counts[k]} {text}" for k, text in words.items() if self.counts[k])
        runs = "1 run" if len(self._done) == 1 else f"{len(self._done)} runs"
        self.console.print(f"{runs}: {shown}", highlight=False, soft_wrap=True)

    def _close(self, run: FoundRun, directory: Path) -> None:
        """Closes a run whose process has died, as KILLED."""
        if run.record.status is not Status.RUNNING:
            return
        alive = is_alive(run.record)
        if alive:
            self._end(directory, "running", "is running; left alone")
        elif alive is None and run.directory not in self.named:
            process = run.record.process
            host = (process and process.host) or "another host"
            text = f"was running on {host}, which can't be asked; to close it, name its directory"
            self._end(directory, "running", text)
        else:
            last = _last_of(run.directory / FILE_NAME)
            ended = last[0]["time"] if last else run.record.started
            closed = Run(run.directory, run.output_dir, {}, {}, run.record)
            closed.update(status=Status.KILLED, ended=ended, error=_DIED)
            self.counts["closed"] += 1
            self._print(directory, "its process has died; closed as KILLED")

    def _complete(self, run: FoundRun, directory: Path) -> None:
        """Adds to MLflow what it lacks of a closed run."""
        run.check_record()
        if self._is_complete(run, directory):
            self._end(directory, "complete", None)
            return
        job = read_frozen(run.directory, run.record.to_mapping())
        if not any(map(is_mlflow, job.config.recorder.values())):
            self._end(directory, "without", None)
            return
        config, params = job.config.to_mapping(), make_params(job)
        whole = Run(run.directory, run.output_dir, config, params, run.record, is_resumed=True)
        origin = self._settle(whole)
        try:
            added = str(self._mirror(whole))
        except DeletedError as error:  # which the user did; no failure unless it is asked for
            self._end(directory, "deleted", f"{error}. {restoring(run.directory)}")
        # A store lets through whatever its drivers raise.
        except Exception as error:  # noqa: BLE001
            self._end(directory, "failed", reason(error))
            _check_store(run.output_dir)
        else:
            if added:
                self._sweeps.add(run.directory.parent)
            text = "complete" if run.directory in self.named else None
            text = f"added {added}" if added else text
            if origin is not None and text is not None:
                text = f"a copy of {origin['directory'] or 'another run'}; {text}"
            self._end(directory, "completed" if added else "complete", text)

    def _mirror(self, run: Run) -> "Added":
        prepare_mlflow()
        from expt.record.mlflow.mirror import mirror

        return mirror(run, restore=self.restore)

    def _is_complete(self, run: FoundRun, directory: Path) -> bool:
        """Whether nothing has changed since a run was complete; a named one is always compared."""
        kept = None if run.record.mlflow is None else run.record.mlflow.complete
        if kept is None or self.restore or directory.resolve() in self.named:
            return False
        if self._copies.settle(run.record, run.directory, run.output_dir):
            return False  # it was moved or copied
        now = completion(run.directory, run.record, self._stored_in(run.output_dir))
        return now is not None and now == kept

    def _stored_in(self, output_dir: Path) -> dict[str, str]:
        """Returns what a store holds of all runs of its folder, read once."""
        if output_dir not in self._stored:
            places = [place for folder, place in self._places if folder == output_dir]
            try:
                self._stored[output_dir] = stored_runs(output_dir, places)
            # Then each run is compared, which says what is wrong.
            except Exception:  # noqa: BLE001
                self._stored[output_dir] = {}
        return self._stored[output_dir]

    def _settle(self, run: Run) -> dict[str, Any] | None:
        """Notes where a run lies by now; returns what it is a copy of, if that is new."""
        if run.output_dir not in self._stores:
            self._stores.add(run.output_dir)
            for place in repair_store(run.output_dir):
                self._print(run.output_dir, f"MLflow's artifacts were in {place}, and now lie here")
        changes = self._copies.settle(run.record, run.directory, run.output_dir)
        if changes:
            _last_of(run.directory / FILE_NAME)  # a damaged run stays as it is
        sweep = run.directory.parent
        if (sweep / SWEEP_FILE).is_file():
            with suppress(UserError):  # a damaged sweep.json: completing the sweep reports it
                settled_sweep(self._copies, sweep, run.output_dir)
        if changes:
            run.update(**changes)
        return changes.get("copied_from")

    def _end(self, directory: Path, outcome: str, text: str | None) -> None:
        self._done.add(directory)
        self.counts[outcome] += 1
        if text is not None:
            self._print(directory, text)

    def _print(self, directory: Path, text: str) -> None:
        line = f"{os.path.relpath(directory)}: {text}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _last_of(journal: Path) -> deque[dict[str, Any]]:
    """Reads a whole journal; a run that died before its first line has none.

    Returns:
        The last record, if there is one.

    Raises:
        UserError: It can't be read, or is damaged.
    """
    return deque(read_journal(journal) if journal.exists() else (), maxlen=1)


def _check_store(output_dir: Path) -> None:
    """Checks that the store answers at all.

    Raises:
        RunError: It does not.
    """
    from mlflow import MlflowClient

    try:
        MlflowClient(store_uri(output_dir)).search_experiments(max_results=1)
    except Exception as error:
        raise RunError(f"MLflow: {reason(error)}; no more runs are tried.") from error
