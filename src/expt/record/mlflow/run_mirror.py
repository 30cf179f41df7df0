"""The mirror of a run, which makes its MLflow run equal to its files."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from filelock import FileLock
from mlflow.entities import Metric, RunTag, ViewType
from mlflow.exceptions import MlflowException

from expt.record.journal import FILE_NAME, complete_size, read_journal
from expt.record.mlflow.additions import Additions
from expt.record.mlflow.bulk import insert_metrics, latest_of
from expt.record.mlflow.completeness import completion_hash, stored_runs
from expt.record.mlflow.description import describe, digest
from expt.record.mlflow.findings import finding_tags, is_finding_tag
from expt.record.mlflow.images import MLflowImages
from expt.record.mlflow.model import MODEL_TAG, log_model
from expt.record.mlflow.store import (
    LOCK,
    DeletedError,
    database,
    find_experiment,
    is_deleted,
    is_embedded,
    open_store,
    request_seconds,
    restore_run,
    seconds_to_open,
)
from expt.record.mlflow.sweep_mirror import (
    ID_TAG,
    PARENT_TAG,
    SOURCE,
    copied_tag,
    find_sweep,
)
from expt.record.mlflow.thinning import Point, Thinning
from expt.record.mlflow.values import final_values, identity, metric_name, outdated
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
_METRICS_A_REQUEST = 1_000
_MODEL_FILE = "model.keras"
_READING_SPEED = 1e6  # the lowest expected speed of a store's answers, in bytes of journal per s


class RunMirror:
    """The mirror of a run.

    The content of the store is compared with the files, so that nothing is duplicated or missing
    even if previous processes were killed or answers were lost. Metrics have the values of the
    journal that `Thinning` selects, and its times rounded down to milliseconds.
    """

    def __init__(
        self,
        run: Run,
        is_new: bool,
        extend_deadline: Callable[[float], None],
        *,
        restore: bool = False,
    ) -> None:
        """Finds or creates the run in the store and describes it there.

        Args:
            run: The run. Its run.json is updated with the ids of the MLflow run and the experiment.
            is_new: Whether no previous process or attempt can have created the MLflow run.
            extend_deadline: Called before each request with its maximum duration in seconds.
            restore: Whether to restore a run or an experiment that was deleted in the store.

        Raises:
            DeletedError: The run or the experiment was deleted, and `restore` is false.
        """
        self.added = Additions()
        self._run, self._on_request, self._restores = run, extend_deadline, restore
        record = run.record
        # Runs of earlier versions have no id.
        self._id = record.id or digest([record.run_name, record.started])[:32]
        # Creating a database, an experiment or a run is a race between processes.
        with FileLock(run.output_dir / LOCK, timeout=10 * request_seconds()):
            self._extend_deadline(seconds_to_open(run.output_dir))
            self._client = open_store(run.output_dir)
            self._experiment_id = self._find_experiment(run.config["name"])
            found = None if is_new else self._find()
            self._stored = found or self._create()
        info = self._stored.info
        self._run_id, self._closed = info.run_id, (info.status, info.end_time)
        place = {"run_id": info.run_id, "experiment_id": info.experiment_id}
        known = {} if record.mlflow is None else record.mlflow.to_mapping()
        # Kept if unchanged, because an update would discard the hash of a complete copy.
        if {**known, **place} != known:
            run.update(mlflow=place)
        describe(self._client, self._stored, run, self._extend_deadline)
        if record.status == Status.RUNNING != info.status:
            self._client.update_run(self._run_id, status=Status.RUNNING)
        self._position, self._thinning = 0, Thinning.of(run)
        self._present: Counter[tuple[str, int, float | None]] = Counter()
        self._latest: dict[str, Metric] = {}
        self._images = MLflowImages(self._client, run, self._run_id)
        if found:
            self._compare()

    def advance(self) -> None:
        """Sends new lines of the journal, and new images."""
        path = self._run.directory / FILE_NAME
        end = complete_size(path)
        if self._position < end:
            # Reading takes time too, if most values are not selected.
            self._extend_deadline((end - self._position) / _READING_SPEED)
            # Metrics of many lines share a request, whose cost is mostly per request.
            metrics: list[Metric] = []
            for record in read_journal(path, self._position, end):
                metrics += self._missing(self._thinning.select(record))
                while len(metrics) >= _METRICS_A_REQUEST:
                    self._send(metrics[:_METRICS_A_REQUEST])
                    del metrics[:_METRICS_A_REQUEST]
            self._send(metrics)
            self._position = end
        self.added.images += self._images.send(self._extend_deadline)

    def finish(self) -> None:
        """Sends the best model, the final values and the status of the run.

        The model of a killed run is not sent, since the run may be resumed and find a better one.
        """
        record = self._run.record
        self._send([*self._missing(self._thinning.rest())])
        self.added.images += self._images.send(self._extend_deadline, is_last=True)
        if record.status != Status.KILLED:
            self._send_model()
        assert record.ended is not None
        moment = int(record.ended * 1000)
        self._send([*outdated(final_values(record), self._latest.values(), moment)])
        self._tag_findings()
        self._extend_deadline()
        # A request to create the run may have been carried out twice, if its answer was lost.
        for duplicate in self._runs_with_id():
            if duplicate.info.run_id != self._run_id and not duplicate.data.metrics:
                self._client.delete_run(duplicate.info.run_id)
        closed = (str(record.status), moment)
        if closed != self._closed:
            self._client.set_terminated(self._run_id, *closed)
            self._closed, self.added.status = closed, closed[0]
        self._mark_complete()

    def _tag_findings(self) -> None:
        """Makes the tags of the training doctor those of the record."""
        stored, tags = self._stored.data.tags, finding_tags(self._run.record)
        for key in stored.keys() - tags.keys():
            # Of a process that the run was resumed after.
            if is_finding_tag(key):
                self._extend_deadline()
                self._client.delete_tag(self._run_id, key)
        new = [RunTag(key, value) for key, value in tags.items() if stored.get(key) != value]
        if new:
            self._extend_deadline()
            self._client.log_batch(self._run_id, tags=new)

    def _mark_complete(self) -> None:
        """Writes into run.json that the copy is complete, so that it need not be compared again."""
        run, place = self._run, self._run.record.mlflow
        assert place is not None
        self._extend_deadline()
        try:
            hashed = completion_hash(
                run.directory, run.record, stored_runs(run.output_dir, [place])
            )
        # The copy is complete nevertheless; without the mark, it is only compared once more.
        except Exception as error:  # noqa: BLE001
            _log.info("mlflow: %s can't be marked as complete: %s", run.directory, error)
            return
        if hashed != place.complete:
            run.update(mlflow={**place.to_mapping(), "complete": hashed})

    def _extend_deadline(self, more_seconds: float = 0.0) -> None:
        self._on_request(request_seconds() + more_seconds)

    def _find_experiment(self, name: str) -> str:
        return find_experiment(self._client, name, self._run.output_dir, restore=self._restores)

    def _find(self) -> Any | None:
        """Returns the run with the id in run.json, else the one with the tag; None if neither.

        The id is missing in run.json if the answer to the request that created the run was lost.
        """
        stored, place = None, self._run.record.mlflow
        if place is not None:
            try:
                stored = self._client.get_run(place.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        if stored is None:
            found = [*self._runs_with_id(), *self._runs_with_id(ViewType.DELETED_ONLY)]
            stored = next(iter(found), None)
        if stored is None or not is_deleted(stored):
            return stored
        if not self._restores:
            raise DeletedError(f"the run {stored.info.run_id}")
        self.added.restored = True
        return restore_run(self._client, stored)

    def _runs_with_id(self, view: int = ViewType.ACTIVE_ONLY) -> list[Any]:
        """Returns the runs in the store with the tag of this run, the oldest first."""
        order = ["attributes.start_time", "attributes.run_id"]
        tag = f"tags.`{ID_TAG}` = '{self._id}'"
        found = self._client.search_runs([self._experiment_id], tag, view, order_by=order)
        return list(found)

    def _create(self) -> Any:
        self.added.run = True
        record = self._run.record
        tags = {ID_TAG: self._id, **SOURCE, **copied_tag(record)}
        if (sweep := record.sweep) is not None:
            place = self._find_experiment(sweep.experiment or self._run.config["name"])
            tags[PARENT_TAG] = find_sweep(self._client, place, sweep.id, sweep.name, record.started)
        return self._client.create_run(
            self._experiment_id,
            run_name=record.run_name,
            start_time=int(record.started * 1000),
            tags=tags,
        )

    def _compare(self) -> None:
        """Reads which values and images the run in the store already has."""
        size = complete_size(self._run.directory / FILE_NAME)
        # An answer has the whole history of a metric, so its duration depends on the journal.
        for key in self._stored.data.metrics:
            self._extend_deadline(size / _READING_SPEED)
            for metric in self._client.get_metric_history(self._run_id, key):
                self._present[identity(metric)] += 1
                self._update_latest(metric)
        self._extend_deadline()
        self._images.compare(self._stored)

    def _update_latest(self, metric: Metric) -> None:
        known = self._latest.get(metric.key)
        if known is None or (known.step, known.timestamp) < (metric.step, metric.timestamp):
            self._latest[metric.key] = metric

    def _missing(self, points: Iterable[Point]) -> Iterator[Metric]:
        """Yields the values of the journal that the store does not have."""
        # Counted, since a journal may have the same metric, step and value more than once.
        for name, record in points:
            stamp, step = int(record["time"] * 1000), record["step"]
            metric = Metric(metric_name(name), record[name], stamp, step)
            if self._present[same := identity(metric)]:
                self._present[same] -= 1
            else:
                yield metric

    def _send(self, metrics: list[Metric]) -> None:
        if metrics:
            self._extend_deadline()
            output_dir = self._run.output_dir
            is_fast = is_embedded(output_dir)
            latest = latest_of(metrics) if is_fast else metrics
            self._client.log_batch(self._run_id, metrics=latest)
            if is_fast:
                insert_metrics(database(output_dir), self._run_id, metrics)
            self.added.values += len(metrics)

    def _send_model(self) -> None:
        file = self._run.directory / _MODEL_FILE
        if not file.is_file():
            return
        with file.open("rb") as content:
            content_hash = hashlib.file_digest(content, "sha256").hexdigest()
        is_known = self._stored.data.tags.get(MODEL_TAG) == content_hash
        if is_known and not is_embedded(self._run.output_dir):
            return  # an embedded store may have lost files when it was moved, a server has not
        self.added.model = log_model(
            self._client, self._stored, file, content_hash, self._run.record, self._extend_deadline
        )
        self._client.set_tag(self._run_id, MODEL_TAG, content_hash)
