"""A run's copy in an MLflow store, made equal to the run's files."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

from expt.errors import RunError
from expt.record.journal import FILE_NAME, complete_size, read_journal
from expt.record.layers import LAYERS_FILE
from expt.record.mlflow import DATABASE, embedded_uri, store_uri
from expt.record.mlflow_model import MODEL_FILE, find_model, log_model
from expt.record.recorder import PARTIAL
from expt.record.replay import IMAGES, read_image
from expt.record.run import Run, Status
from expt.record.secrets import redacted, redacted_values

_METRICS_A_REQUEST = 1_000
_PARAMS_A_REQUEST = 100
_PARAM_LENGTH = 6_000
_ARTIFACTS = "mlartifacts"
_GIT_DIFF_FILE = "git.diff"
_ID_TAG, _DESCRIBED_TAG, MODEL_TAG = "expt.id", "expt.described", "expt.model"
_LARGEST = 1.7976931348623157e308  # what MLflow makes of infinity
# images/NAME+step+STEP+timestamp+MILLISECONDS+UUID, with other separators in some versions.
_IMAGE_FILE = re.compile(
    r"(?P<stem>(?P<name>.+)[+%]step[+%](?P<step>\d+)[+%]timestamp[+%]\d+[+%][0-9a-f-]+)"
    r"([+%]compressed)?\.(?P<kind>png|webp)"
)


@dataclass
class Added:
    """What a copy lacked.

    Attributes:
        run: Whether there was no run in the store.
        values: Values of metrics.
        images: Pictures.
        model: Whether the best model was added.
        status: Whether the run was closed, or closed otherwise than it is now.
    """

    run: bool = False
    values: int = 0
    images: int = 0
    model: bool = False
    status: bool = False


@dataclass
class _Present:
    """What a run in the store holds already."""

    values: Counter[tuple[str, int, float | None]] = field(default_factory=Counter)
    images: set[tuple[str, int]] = field(default_factory=set)


class MLflowRun:
    """A run in an MLflow store, and how far it has followed the run's files.

    What the store may hold already is compared: nothing is doubled, whatever happened to earlier
    processes or requests. The values are the journal's, with times in whole milliseconds.
    """

    def __init__(self, run: Run, is_new: bool, busy: Callable[[float], None]) -> None:
        """Finds or creates the run in the store and describes it there.

        Args:
            run: Its run.json gets the ids of the run and the experiment.
            is_new: Whether no earlier process or try can have created it.
            busy: Told before each request how many seconds it may take.
        """
        self.added = Added()
        self._run, self._busy = run, busy
        self._uri = store_uri(run.output_dir)
        self._patience = float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        self._id = run.record.get("id") or _digest([run.record["run_name"], run.record["started"]])
        busy(self._seconds_to_open())
        # Creating a database, an experiment or a run is a race between processes.
        with FileLock(run.output_dir / ".mlflow.lock", timeout=10 * self._patience):
            self._client = MlflowClient(self._uri)
            self._experiment_id = self._find_experiment()
            found = None if is_new else self._find()
            stored = found or self._create()
        self._run_id = stored.info.run_id
        self._closed = (stored.info.status, stored.info.end_time)
        place = {"run_id": self._run_id, "experiment_id": stored.info.experiment_id}
        if run.record.get("mlflow") != place:
            run.update(mlflow=place)
        self._describe(stored)
        if run.record["status"] == Status.RUNNING != stored.info.status:
            self._client.update_run(self._run_id, status=Status.RUNNING)
        self._tags = dict(stored.data.tags)
        self._position = 0
        self._images_changed, self._image_files = 0, set[str]()
        self._present = self._compare(stored) if found else _Present()

    def advance(self) -> None:
        """Sends new lines of the journal, and new pictures."""
        path = self._run.directory / FILE_NAME
        end = complete_size(path)
        metrics: list[Metric] = []
        if self._position < end:
            for record in read_journal(path, self._position, end):
                metrics += self._lacking(record)
                while len(metrics) >= _METRICS_A_REQUEST:
                    self._send(metrics[:_METRICS_A_REQUEST])
                    del metrics[:_METRICS_A_REQUEST]
        if metrics:
            self._send(metrics)
        self._position = end
        self._send_images()

    def finish(self) -> None:
        """Sends the best model unless the run was killed, for it may be resumed; then the status."""
        self._images_changed = 0  # a picture may have come in the same tick of the clock
        self._send_images()
        record = self._run.record
        if record["status"] != Status.KILLED:
            self._send_model()
        for double in self._named_alike():
            if double.info.run_id != self._run_id and not double.data.metrics:
                self._client.delete_run(double.info.run_id)
        closed = (str(record["status"]), int(record["ended"] * 1000))
        if closed != self._closed:
            self._busy(self._patience)
            self._client.set_terminated(self._run_id, *closed)
            self._closed, self.added.status = closed, True

    def _seconds_to_open(self) -> float:
        """An embedded store is slow to create and can be busy with others; a server answers."""
        if self._uri != embedded_uri(self._run.output_dir):
            return self._patience
        exists = (self._run.output_dir / DATABASE).exists()
        return self._patience * (2 if exists else 12)

    def _find_experiment(self) -> str:
        """Finds or creates the experiment; a server keeps artifacts where it likes."""
        name = self._run.config["name"]
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        output_dir = self._run.output_dir
        embedded = self._uri == embedded_uri(output_dir)
        location = (output_dir / _ARTIFACTS).resolve().as_uri() if embedded else None
        return str(self._client.create_experiment(name, artifact_location=location))

    def _find(self) -> Any | None:
        """Finds the run by its id in run.json, else by its tag: an answer may have been lost."""
        run_id = (self._run.record.get("mlflow") or {}).get("run_id")
        if run_id is not None:
            try:
                stored = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                if stored.info.lifecycle_stage != "active":
                    raise RunError(f"its run {run_id} has been deleted from the store")
                return stored
        return next(iter(self._named_alike()), None)

    def _named_alike(self) -> list[Any]:
        """The store's runs of this run, the first one first; a repeated request makes doubles."""
        self._busy(self._patience)
        return list(
            self._client.search_runs(
                [self._experiment_id],
                f"tags.`{_ID_TAG}` = '{self._id}'",
                order_by=["attributes.start_time", "attributes.run_id"],
            )
        )

    def _create(self) -> Any:
        self.added.run = True
        return self._client.create_run(
            self._experiment_id,
            run_name=self._run.record["run_name"],
            start_time=int(self._run.record["started"] * 1000),
            tags={
                _ID_TAG: self._id,
                "mlflow.source.name": "expt.run",
                "mlflow.source.type": "LOCAL",
            },
        )

    def _describe(self, stored: Any) -> None:
        """Writes params, tags, the config and other texts, and the data, unless they are there."""
        params = {
            key: str(value)[:_PARAM_LENGTH]
            for key, value in redacted_values(dict(self._run.params)).items()
        }
        tags, texts = redacted_values(_tags(self._run)), self._texts()
        described = _digest([params, tags, texts])
        if stored.data.tags.get(_DESCRIBED_TAG) == described:
            return
        known = stored.data.params
        new = [Param(key, value) for key, value in params.items() if key not in known]
        # A param can't be changed; what a resumed run was given anew stands beside it.
        changed = {f"resumed.{k}": v for k, v in params.items() if known.get(k, v) != v}
        for start in range(0, len(new), _PARAMS_A_REQUEST):
            self._busy(self._patience)
            self._client.log_batch(self._run_id, params=new[start : start + _PARAMS_A_REQUEST])
        for name, text in texts.items():
            self._busy(self._patience)
            self._client.log_text(self._run_id, text, name)
        self._busy(self._patience)
        self._client.log_inputs(self._run_id, datasets=[_dataset(self._run.record["data"])])
        all_tags = {**tags, **changed, _DESCRIBED_TAG: described}
        self._client.log_batch(self._run_id, tags=[RunTag(k, v) for k, v in all_tags.items()])

    def _texts(self) -> dict[str, str]:
        texts = {
            "config.yaml": yaml.safe_dump(
                redacted_values(dict(self._run.config)), sort_keys=False
            )
        }
        for name in (LAYERS_FILE, _GIT_DIFF_FILE):
            file = self._run.directory / name
            if file.is_file():
                texts[name] = redacted(file.read_text(encoding="utf-8", errors="replace"))
        return texts

    def _compare(self, stored: Any) -> _Present:
        """Reads what the run in the store holds of what the files can have."""
        present = _Present()
        size = complete_size(self._run.directory / FILE_NAME)
        for key in stored.data.metrics:
            self._busy(self._patience + size / 1e6)
            for metric in self._client.get_metric_history(self._run_id, key):
                present.values[_identity(metric)] += 1
        self._busy(self._patience)
        kinds: dict[str, set[str]] = {}
        files = {}
        for item in self._client.list_artifacts(self._run_id, IMAGES):
            if match := _IMAGE_FILE.fullmatch(item.path.removeprefix(f"{IMAGES}/")):
                files.setdefault(match["stem"], []).append((item.path, match))
        return present
