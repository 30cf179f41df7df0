"""MLflow: the recorder, where its store is, and values that are added to a run later."""

import logging
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from expt.errors import RunError
from expt.record.mlflow.copies import Copies
from expt.record.mlflow.follower import MirrorFollower, reason
from expt.record.mlflow.store import (
    DELETED,
    DeletedError,
    database,
    is_deleted,
    is_embedded,
    prepare_mlflow,
)
from expt.record.mlflow.store import store_uri as store_uri
from expt.record.process import Listener, SeparateProcess
from expt.runs.find import FoundRun
from expt.runs.run import Run

_log = logging.getLogger(__name__)


class MLflowRecorder(SeparateProcess):
    """Writes to an MLflow store: the one at MLFLOW_TRACKING_URI, or one embedded in outputs/.

    It works in a process of its own: MLflow takes seconds to import and most of a core to store
    every step's numbers.
    """

    def __init__(self) -> None:
        super().__init__(make_follower, "mlflow", _remedy, prepare)


def prepare() -> None:
    """Imports MLflow and what copies runs to its store; takes seconds."""
    prepare_mlflow()
    import expt.record.mlflow.mirror  # noqa: F401


def make_follower(listener: Listener) -> MirrorFollower:
    """Returns a follower that mirrors a run or a sweep in MLflow."""
    prepare()
    from expt.record.mlflow.mirror import open_mirror

    return MirrorFollower(
        lambda run, is_new: open_mirror(run, listener.busy, is_new=is_new), listener
    )


def log_evaluation(run: FoundRun, name: str, step: int, values: Mapping[str, float]) -> bool:
    """Adds the metrics of a later evaluation to a run, as `with/NAME/METRIC`.

    Args:
        run: The one that was evaluated.
        name: What was evaluated.
        step: The step of the evaluated model.
        values: By metric.

    Returns:
        Whether there is an MLflow run to add to.

    Raises:
        RunError: The store does not take them.
    """
    output_dir, place = run.output_dir, run.record.mlflow
    is_missing = is_embedded(output_dir) and not database(output_dir).exists()
    if place is None or is_missing:
        return False
    if "id" in Copies().settle(run.record, run.directory, output_dir):
        _log.warning(
            "mlflow: the run is a copy, and has no run of its own in MLflow yet; the evaluation is "
            "not added to the original's. To make one: python -m expt.sync %s",
            _shown(run.directory),
        )
        return False
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from expt.record.mlflow.values import EVALUATION

    now = int(time.time() * 1000)
    metrics = [Metric(f"{EVALUATION}/{name}/{key}", v, now, step) for key, v in values.items()]
    try:
        client = MlflowClient(store_uri(output_dir))
        if is_deleted(client.get_run(place.run_id)):
            raise DeletedError(f"the run {place.run_id}")
        client.log_batch(place.run_id, metrics=metrics)
    # MLflow lets through whatever its database's driver raises.
    except Exception as error:
        text = f"mlflow: the evaluation could not be added: {reason(error)}."
        if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
            text += f" To make the run anew: python -m expt.sync {_shown(run.directory)}"
        elif isinstance(error, DeletedError):
            text += f" {restoring(run.directory)}"
        raise RunError(text) from error
    return True


def restoring(directory: Path) -> str:
    """Returns how a user restores what was deleted in MLflow of a run or a sweep."""
    return f"To restore it: python -m expt.sync --restore {_shown(directory)}"


def _remedy(run: Run, failure: str) -> str:
    if DELETED in failure:
        return restoring(run.directory)
    return (
        f"The journal has everything; `python -m expt.sync {_shown(run.directory)}` completes it."
    )


def _shown(directory: Path) -> str:
    return shlex.quote(os.path.relpath(directory))
