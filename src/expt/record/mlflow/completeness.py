"""A quick check whether a run's copy in an MLflow store is still complete.

A full comparison of a run with its copy takes some twenty requests. After a successful one,
run.json keeps a hash of its inputs: the run's files, the store's content of the run, and the code
that copies. As long as the hash is the same, the copy is complete, and no comparison is needed.
"""

import hashlib
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from expt.record.journal import FILE_NAME
from expt.record.layers import LAYERS_FILE
from expt.record.mlflow.store import (
    database,
    is_deleted,
    is_embedded,
    prepare_mlflow,
    store_uri,
)
from expt.record.replay import IMAGES
from expt.runs.record_parts import MLflowIds
from expt.runs.records import RunRecord

_FILES = (FILE_NAME, LAYERS_FILE, "git.diff", "model.keras", ".hydra/config.yaml")
_VOLATILE = ("closed", "mlflow")  # fields of run.json that change after the copy is complete
_SECONDS_TO_WAIT = 20.0  # for another process that writes; MLflow waits as long
_RUNS_A_REQUEST = 1_000
_TAGS = ("expt.", "mlflow.parentRunId")
# Params and metrics are only counted: MLflow allows to add them, but not to change them.
_QUERIES = (
    "WITH wanted AS (SELECT value FROM json_each(?)) SELECT r.run_uuid, r.status, r.end_time, "
    "r.artifact_uri, e.experiment_id, e.name FROM runs r JOIN experiments e "
    "ON r.experiment_id = e.experiment_id WHERE r.run_uuid IN wanted "
    "AND r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'",
    "WITH wanted AS (SELECT value FROM json_each(?)) SELECT run_uuid, key, value FROM tags "
    "WHERE run_uuid IN wanted AND (key LIKE 'expt.%' OR key = 'mlflow.parentRunId')",
    "WITH wanted AS (SELECT value FROM json_each(?)) SELECT run_uuid, COUNT(*) FROM params "
    "WHERE run_uuid IN wanted GROUP BY run_uuid",
    "WITH wanted AS (SELECT value FROM json_each(?)) SELECT run_uuid, COUNT(*) FROM metrics "
    "WHERE run_uuid IN wanted GROUP BY run_uuid",
    "WITH wanted AS (SELECT value FROM json_each(?)) SELECT source_run_id, model_id, status, "
    "lifecycle_stage, artifact_location FROM logged_models WHERE source_run_id IN wanted",
)


def completion_hash(directory: Path, record: RunRecord, stored: Mapping[str, str]) -> str | None:
    """Returns a hash of a run's files and of its copy; None if the store has no such run.

    Args:
        directory: The run's directory.
        record: The content of its run.json.
        stored: The result of `stored_runs`.
    """
    store_hash = None if record.mlflow is None else stored.get(record.mlflow.run_id)
    if store_hash is None:
        return None
    kept = {key: value for key, value in record.to_mapping().items() if key not in _VOLATILE}
    # Converted as by writing and reading the file, so that both records have the same hash.
    kept = json.loads(json.dumps(kept, default=str))
    return _digest([kept, list(_stats(directory)), store_hash, _code()])


def stored_runs(output_dir: Path, places: Sequence[MLflowIds]) -> dict[str, str]:
    """Returns, for each run that is not deleted, a hash of the store's content of that run.

    Artifacts are included only for an embedded store; a server would need a request per folder.

    Args:
        output_dir: The folder of all runs.
        places: The field `mlflow` of each run.json.

    Returns:
        The hashes, by the id of the run in the store.

    Raises:
        Exception: The store can't be read; the type depends on its driver.
    """
    run_ids = [place.run_id for place in places]
    if not is_embedded(output_dir):
        experiment_ids = {
            place.experiment_id for place in places if place.experiment_id is not None
        }
        return _served(store_uri(output_dir), sorted(experiment_ids), set(run_ids))
    return _embedded(database(output_dir), run_ids) if database(output_dir).is_file() else {}


def _embedded(file: Path, run_ids: Sequence[str]) -> dict[str, str]:
    """Reads the database directly, since importing MLflow would take longer than the check."""
    found: dict[str, list[Any]] = defaultdict(list)
    # Read-only, so that a check never creates or changes a database.
    opened = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_SECONDS_TO_WAIT)
    with closing(opened) as connection:
        for number, query in enumerate(_QUERIES):
            for run_id, *values in connection.execute(query, (json.dumps(run_ids),)):
                if number == 0 or run_id in found:  # the first query leaves out deleted runs
                    files = [list(_files_at(value)) for value in values]
                    found[run_id].append([number, *values, files])
    return {run_id: _digest(sorted(rows, key=repr)) for run_id, rows in found.items()}


def _files_at(uri: object) -> Iterator[tuple[str, int]]:
    """Yields the files of an artifact folder on this machine, with their sizes."""
    if isinstance(uri, str) and uri.startswith("file:"):
        root = unquote(urlsplit(uri).path)
        for place, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(place, name)  # noqa: PTH118  pathlib is slow for so many files
                yield os.path.relpath(path, root), os.stat(path).st_size  # noqa: PTH116


def _served(uri: str, experiment_ids: list[str], run_ids: Set[str]) -> dict[str, str]:
    prepare_mlflow()
    from mlflow import MlflowClient

    client, token = MlflowClient(uri), None
    # A live run asks for itself only, and its experiment may have thousands of runs.
    if len(run_ids) == 1:
        (run_id,) = run_ids
        run = client.get_run(run_id)
        return {} if is_deleted(run) else {run_id: _hash_of_served(uri, run)}
    found: dict[str, str] = {}
    while experiment_ids:
        page = client.search_runs(experiment_ids, max_results=_RUNS_A_REQUEST, page_token=token)
        found |= {run.info.run_id: _hash_of_served(uri, run) for run in page}
        token = page.token
        if not token:
            break
    return found


def _hash_of_served(uri: str, run: Any) -> str:
    """Returns the hash of a run that a server returned."""
    info, data = run.info, run.data
    tags = {key: value for key, value in data.tags.items() if key.startswith(_TAGS)}
    known = [info.status, info.end_time, info.experiment_id, tags, len(data.params)]
    return _digest([uri, *known, repr(sorted(data.metrics.items()))])


def _stats(directory: Path) -> Iterator[tuple[str, int, int]]:
    """Yields the files from which the copy is made, with their sizes and modification times."""
    images = sorted(f"{IMAGES}/{file.name}" for file in (directory / IMAGES).glob("*.png"))
    for name in (*_FILES, *images):
        try:
            stat = (directory / name).stat()
        except FileNotFoundError:
            continue
        yield name, stat.st_size, stat.st_mtime_ns


@cache
def _code() -> str:
    """Returns a hash of the code that copies, since a newer version may copy more."""
    package = Path(__file__).parents[2]
    files = sorted(
        file for room in ("record", "serving") for file in (package / room).rglob("*.py")
    )
    files.append(package / "config" / "params.py")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
