"""The MLflow run of a sweep: the parent of its jobs' runs, with their comparison."""

from collections.abc import Callable, Mapping
from typing import Any

from filelock import FileLock
from mlflow.entities import Param, RunTag, ViewType

from expt.record.mlflow.additions import Additions
from expt.record.mlflow.store import (
    LOCK,
    DeletedError,
    find_experiment,
    is_deleted,
    open_store,
    request_seconds,
    restore_run,
    seconds_to_open,
)
from expt.record.mlflow.values import outdated, shortest
from expt.runs.layout import NOTE, SUMMARY
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status, SweepAsRun
from expt.runs.secrets import redacted_values

ID_TAG = "expt.id"
"""The tag with the id in run.json or sweep.json, by which an MLflow run is found."""
COPIED_TAG = "expt.copied_from"
"""The tag of a copied run or sweep with the MLflow run of the original."""
PARENT_TAG = "mlflow.parentRunId"
"""The tag with the MLflow run of the sweep, which MLflow shows as the parent."""
SOURCE = {"mlflow.source.name": "expt.run", "mlflow.source.type": "LOCAL"}
"""The tags from which MLflow shows the program that created a run."""
_NOTE_TAG = "mlflow.note.content"  # shown at the top of a run's page
_NOTE_LENGTH = 8_000


class SweepMirror:
    """The mirror of a sweep, whose jobs have separate mirrors."""

    def __init__(
        self, run: Run, extend_deadline: Callable[[float], None], *, restore: bool = False
    ) -> None:
        """Finds or creates the MLflow run of the sweep.

        Args:
            run: The sweep represented as a run. Its record is updated with the ids of the MLflow
                run and of the experiment. When `finish` is called, the record must have `status`,
                `ended` and `results`, and the directory may have a summary.
            extend_deadline: Called before each request with its maximum duration in seconds.
            restore: Whether to restore the run or the experiment if it was deleted in the store.

        Raises:
            DeletedError: The run or the experiment was deleted, and `restore` is false.
        """
        self.added = Additions()
        self._run, self._on_request = run, extend_deadline
        record = _record_of(run)
        # Creating a database, an experiment or a run is a race between processes.
        with FileLock(run.output_dir / LOCK, timeout=10 * request_seconds()):
            self._extend_deadline(seconds_to_open(run.output_dir))
            self._client = open_store(run.output_dir)
            experiment_id = find_experiment(
                self._client, run.config["name"], run.output_dir, restore=restore
            )
            self._run_id = find_sweep(
                self._client, experiment_id, str(record.id), str(record.name), record.started
            )
            stored = self._client.get_run(self._run_id)
            if is_deleted(stored):
                if not restore:
                    raise DeletedError(f"the run {self._run_id} of the sweep")
                restore_run(self._client, stored)
        run.update(mlflow={"run_id": self._run_id, "experiment_id": experiment_id})
        # A resumed sweep was closed by its previous process.
        self._client.update_run(self._run_id, status="RUNNING")
        for key, value in copied_tag(record).items():
            self._set_tag(key, value)
        self._set_tag("sweep_directory", str(run.directory))
        self._set_tag("jobs", str(record.number_of_jobs))

    def advance(self) -> None:
        """Does nothing: the results of a sweep are known only at its end."""

    def finish(self) -> None:
        """Adds the summary, if there is one, the results and the status of the sweep."""
        folder, record = self._run.directory / SUMMARY, _record_of(self._run)
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            place = (SUMMARY / file.relative_to(folder)).parent
            self._extend_deadline()
            self._client.log_artifact(self._run_id, str(file), place.as_posix())
        if (folder / NOTE).is_file():
            text = (folder / NOTE).read_text(encoding="utf-8")
            # MLflow cuts longer tags, which would break a table in the middle of a row.
            is_short = len(text) <= _NOTE_LENGTH
            self._set_tag(_NOTE_TAG, text if is_short else f"See {SUMMARY / NOTE}.")
        assert record.ended is not None
        ended = int(record.ended * 1000)
        self._log_results(record.results or {}, ended)
        self._extend_deadline()
        self._client.set_terminated(self._run_id, str(record.status), ended)

    def _log_results(self, results: Mapping[str, Any], moment: int) -> None:
        """Logs the results, unless the store has them.

        MLflow's params can't be changed. So the params of a killed sweep are not logged, since it
        may be resumed and find another best job. If they change later nevertheless, because failed
        jobs were retried, the new values become tags.
        """
        self._extend_deadline()
        data = self._client.get_run(self._run_id).data
        # The whole history, since `data.metrics` has the latest values without their steps.
        stored = [
            metric
            for key in results.get("metrics", {}).keys() & data.metrics.keys()
            for metric in self._client.get_metric_history(self._run_id, key)
        ]
        stored.sort(key=lambda metric: (metric.step, metric.timestamp))
        values = {key: shortest(value) for key, value in results.get("metrics", {}).items()}
        metrics = [*outdated(values, stored, moment)]
        params = {k: str(v) for k, v in redacted_values(results.get("params", {})).items()}
        if self._run.record.status is Status.KILLED:
            params = {}
        new = [Param(k, v) for k, v in params.items() if k not in data.params]
        changed = [
            RunTag(f"resumed.{key}", value)
            for key, value in params.items()
            if data.params.get(key, value) != value
        ]
        if metrics or new or changed:
            self._extend_deadline()
            self._client.log_batch(self._run_id, metrics=metrics, params=new, tags=changed)

    def _set_tag(self, key: str, value: str) -> None:
        self._extend_deadline()
        self._client.set_tag(self._run_id, key, value)

    def _extend_deadline(self, more_seconds: float = 0.0) -> None:
        self._on_request(request_seconds() + more_seconds)


def _record_of(run: Run) -> SweepAsRun:
    assert isinstance(run.record, SweepAsRun)
    return run.record


def copied_tag(record: RunRecord) -> dict[str, str]:
    """Returns the tag of a copied run or sweep, with the id of the original; else nothing."""
    origin = record.copied_from
    original = None if origin is None else origin.mlflow or origin.id
    return {COPIED_TAG: str(original)} if original else {}


def find_sweep(client: Any, experiment_id: str, sweep_id: str, name: str, started: float) -> str:
    """Finds or creates the MLflow run of a sweep; the caller must hold `LOCK`.

    Args:
        client: A client of the store.
        experiment_id: The experiment of the run.
        sweep_id: The id in sweep.json, which the run has as a tag.
        name: The name of the run, if it is created.
        started: The start time of the run, if it is created, in seconds since 1970.

    Returns:
        The id of the run in the store, where it may be marked as deleted.
    """
    tag = f"tags.`{ID_TAG}` = '{sweep_id}'"
    # Deleted runs too, so that a deleted run is reported or restored, and not replaced.
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
        found = client.search_runs([experiment_id], tag, view)
        if found:
            return str(found[0].info.run_id)
    created = client.create_run(
        experiment_id,
        run_name=name,
        start_time=int(started * 1000),
        tags={ID_TAG: sweep_id, **SOURCE},
    )
    return str(created.info.run_id)
