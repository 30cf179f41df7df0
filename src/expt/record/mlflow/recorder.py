"""The MLflow recorder, and the logging of later evaluations to a run's copy."""

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
from expt.record.mlflow.thinning import MAX_POINTS
from expt.record.process import Listener, ProcessRecorder
from expt.runs.find import FoundRun
from expt.runs.run import Run

_log = logging.getLogger(__name__)


class MLflowRecorder(ProcessRecorder):
    """A recorder for an MLflow store: the one at MLFLOW_TRACKING_URI, or one in `outputs/`.

    It works in a separate process, since MLflow takes seconds to import, and most of a core to
    store all values of a fast run.

    Args:
        max_points: The number of points of each metric, except for evaluations, which are all
            stored; None for all points. `Thinning` has the rule.

    Raises:
        ValueError: `max_points` is less than 1.
    """

    def __init__(self, *, max_points: int | None = MAX_POINTS) -> None:
        check_arguments(max_points=max_points)
        # The child reads the number from the run's config, as `expt.sync` does.
        super().__init__(make_follower, "mlflow", _remedy, prepare)


def check_arguments(*, max_points: int | None = MAX_POINTS) -> None:
    """Checks the arguments of `MLflowRecorder`, without starting its process.

    Raises:
        ValueError: `max_points` is less than 1.
    """
    if max_points is not None and max_points < 1:
        raise ValueError(f"max_points={max_points}: expected at least 1, or null for all.")


def prepare() -> None:
    """Imports MLflow and the modules of the mirror, which takes seconds."""
    # Imported here, so that the training process can import this module without MLflow.
    prepare_mlflow()
    import expt.record.mlflow.mirror  # noqa: F401


def make_follower(listener: Listener) -> MirrorFollower:
    """Returns a follower that mirrors runs or sweeps in MLflow."""
    prepare()
    from expt.record.mlflow.mirror import open_mirror

    return MirrorFollower(
        lambda run, is_new: open_mirror(run, listener.extend_deadline, is_new=is_new), listener
    )


def log_evaluation(run: FoundRun, name: str, step: int, values: Mapping[str, float]) -> bool:
    """Adds the metrics of a later evaluation to an MLflow run, as `with/NAME/METRIC`.

    Args:
        run: The run that was evaluated.
        name: The name of the evaluation, such as that of its data set.
        step: The step of the evaluated model.
        values: The value of each metric.

    Returns:
        Whether the run has an MLflow run, to which the metrics were added.

    Raises:
        RunError: The store does not accept the metrics.
    """
    output_dir, place = run.output_dir, run.record.mlflow
    is_missing = is_embedded(output_dir) and not database(output_dir).exists()
    if place is None or is_missing:
        return False
    # The ids in the run.json of a copy are those of the original, whose values must not change.
    if "id" in Copies().settle(run.record, run.directory, output_dir):
        _log.warning(
            "mlflow: the run is a copy of another run and has no MLflow run yet, so the evaluation "
            "is not added to MLflow. To create its MLflow run: python -m expt.sync %s",
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
    # MLflow does not wrap the exceptions of its database's driver, which have many types.
    except Exception as error:
        text = f"mlflow: the evaluation could not be added: {reason(error)}."
        if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
            text += f" To create the MLflow run again: python -m expt.sync {_shown(run.directory)}"
        elif isinstance(error, DeletedError):
            text += f" {restore_advice(run.directory)}"
        raise RunError(text) from error
    return True


def restore_advice(directory: Path) -> str:
    """Returns the advice on how to restore the deleted MLflow run of a run or a sweep."""
    return f"To restore it: python -m expt.sync --restore {_shown(directory)}"


def _remedy(run: Run, failure: str) -> str:
    if DELETED in failure:
        return restore_advice(run.directory)
    return (
        "The journal is complete. To complete the MLflow run: "
        f"python -m expt.sync {_shown(run.directory)}"
    )


def _shown(directory: Path) -> str:
    return shlex.quote(os.path.relpath(directory))
