"""URLs of MLflow's pages, with views that show names, best values and curves."""

import json
import logging
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from expt.errors import UserError
from expt.record.replay import image_keys
from expt.runs.chronology import by_age, records_in
from expt.runs.find import FoundRun, load_run
from expt.runs.records import SweepRecord, read_sweep
from expt.runs.sweeps import sweep_name
from expt.servers.mlflow_views import best_first, make_view, newest_first

_log = logging.getLogger(__name__)
_TRAINING = {"workflowType": "machine_learning"}  # without it, MLflow may show pages for GenAI
_CHARTS = {**_TRAINING, "compareRunsMode": "CHART"}
_VIEW = "mlflow.sharedViewState."  # the prefix of the tags in which MLflow stores shared views
_SECONDS = 5.0  # timeout of a request
_FIRST_IMAGES = ("val/mistakes", "val/predictions")
_MOST_READ = 100  # the newest runs, which determine the columns


def all_runs_page(address: str, latest: Sequence[FoundRun], output_dir: Path) -> str:
    """Returns the URL of the list of all runs of an experiment, the newest first.

    Args:
        address: The URL of MLflow.
        latest: The latest run, whose experiment is shown; may be empty.
        output_dir: The folder of all runs.
    """
    experiment = _experiment_of(latest)
    if experiment is None:
        return f"{address}/#/experiments?{urlencode(_TRAINING)}"
    files = [file.file for file in by_age([*records_in(output_dir)], output_dir)][-_MOST_READ:]
    found = _readable([file.parent for file in files], output_dir)
    runs = [run for run in found if _experiment_of([run]) == experiment]
    order = newest_first()
    view = make_view("newest first", order, [run.record for run in runs], _images(runs))
    chosen = _view(address, experiment, "expt", view, order)
    return f"{_page(address, experiment)}?{_query({**_TRAINING, **chosen})}"


def sweep_pages(address: str, folder: Path, runs: Sequence[FoundRun]) -> Iterator[tuple[str, str]]:
    """Yields the label and the URL of each page of a sweep.

    The pages are its runs as a table, the best first, their charts, and the parent run, which has
    the best value.

    Args:
        address: The URL of MLflow.
        folder: The directory of the sweep.
        runs: The runs of its jobs.
    """
    place, experiment = _sweep_ids(folder), _experiment_of(runs)
    if experiment is not None:
        records = [run.record for run in runs]
        order = best_first(_search(folder, place), records)
        key, name = _key_and_name(folder)
        view = make_view(name, order, records, _images(runs))
        chosen = _view(address, experiment, key, view, order)
        page = _page(address, experiment)
        yield "runs table", f"{page}?{_query({**_TRAINING, **chosen})}"
        yield "charts", f"{page}?{_query({**_CHARTS, **chosen})}"
    if place is not None:
        # The parent run may be in another experiment than the jobs, whose name may vary.
        parent_experiment, parent = place
        page = f"{_page(address, parent_experiment)}/{quote(parent, safe='')}"
        yield "sweep's run", f"{page}?{_query(_TRAINING)}"


def save_view(address: str, experiment: str, key: str, view: Mapping[str, Any]) -> bool:
    """Saves a view as a tag of an experiment, from which MLflow's page loads it.

    Args:
        address: The URL of MLflow.
        experiment: The id of the experiment.
        key: The key of the view, which the URL of the page names.
        view: The view, as `make_view` returned it.

    Returns:
        Whether the view was saved; false if the server does not answer or does not allow it.
    """
    # Not with MLflow's client, whose import takes over a second.
    content = {"experiment_id": experiment, "key": _VIEW + key, "value": json.dumps(view)}
    request = urllib.request.Request(  # noqa: S310  the address of MLflow's server
        f"{address}/api/2.0/mlflow/experiments/set-experiment-tag",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, ValueError) as error:
        _log.info("MLflow can't save a view: %s", error)
        return False


def _view(
    address: str,
    experiment: str,
    key: str,
    view: Mapping[str, Any],
    order: Mapping[str, Any],
) -> dict[str, str]:
    """Returns the query that selects a view, or only its order if the view can't be saved."""
    if save_view(address, experiment, key, view):
        return {"viewStateShareKey": key}
    return {**order, "orderByAsc": str(order["orderByAsc"]).lower()}


def _search(folder: Path, place: tuple[str, str] | None) -> str:
    if place is not None:
        return f"tags.`mlflow.parentRunId` = '{place[1]}'"
    # Only the end of the path is compared, since the folder of all runs may have been moved.
    return f"tags.run_directory LIKE '%{folder.parent.name}/{folder.name}/%'"


def _key_and_name(folder: Path) -> tuple[str, str]:
    """Returns the key of a sweep's view, and its name in MLflow's menu."""
    record = _sweep_record(folder)
    identity = None if record is None else record.id
    return f"expt-{identity or folder.name}", f"{sweep_name(folder)}: best first"


def _sweep_record(folder: Path) -> SweepRecord | None:
    with suppress(UserError):
        return read_sweep(folder)
    return None


def _sweep_ids(folder: Path) -> tuple[str, str] | None:
    """Returns the MLflow ids of a sweep's experiment and run; None if they are not recorded."""
    record = _sweep_record(folder)
    ids = None if record is None else record.mlflow
    return None if ids is None or ids.experiment_id is None else (ids.experiment_id, ids.run_id)


def _page(address: str, experiment: str) -> str:
    return f"{address}/#/experiments/{quote(experiment, safe='')}/runs"


def _experiment_of(runs: Sequence[FoundRun]) -> str | None:
    """Returns the id of the first MLflow experiment that is recorded in any of the runs."""
    found = (run.record.mlflow for run in runs)
    return next((ids.experiment_id for ids in found if ids and ids.experiment_id is not None), None)


def _readable(directories: Sequence[Path], output_dir: Path) -> Iterator[FoundRun]:
    for directory in directories:
        with suppress(UserError, OSError):
            yield load_run(directory, output_dir)


def _images(runs: Iterable[FoundRun]) -> dict[str, int]:
    """Returns the step to show of each image of the last run that has images, sorted by interest.

    The step is the last one at which all runs that have the image have it. Otherwise MLflow would
    show empty cards.
    """
    steps: dict[str, set[int]] = {}
    names: list[str] = []
    for run in runs:
        found: dict[str, set[int]] = {}
        for name, step in image_keys(run.directory):
            found.setdefault(name, set()).add(step)
        for name, present in found.items():
            steps[name] = steps.get(name, present) & present
        names = [*found] or names
    names.sort(key=lambda name: (*(name != one for one in _FIRST_IMAGES), name))
    return {name: max(steps[name], default=0) for name in names}


def _query(values: Mapping[str, Any]) -> str:
    return urlencode(values, quote_via=quote)
