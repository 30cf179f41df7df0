"""Repair of an embedded MLflow store whose folder was moved or copied."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from expt.errors import RunError

ARTIFACTS = "mlartifacts"
"""The name of the folder of artifacts beside an embedded store."""

_SECONDS_TO_WAIT = 20.0  # for another process that writes; MLflow waits as long
# MLflow keeps absolute URIs in these tables and columns; the last item selects the rows.
_COLUMNS = (
    ("experiments", "artifact_location", "1"),
    ("runs", "artifact_uri", "1"),
    ("logged_models", "artifact_location", "1"),
    ("model_versions", "source", "1"),
    ("model_versions", "storage_location", "1"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)


def relocate(database: Path, root: str) -> list[str]:
    """Rewrites the URIs of artifacts that point to the previous folder of the store.

    Without this, new artifacts of a moved store would be written to its previous folder, and those
    of a copy to the folder of the original. All rows change in one transaction.

    Args:
        database: The store's file.
        root: The URI of the folder of artifacts beside it.

    Returns:
        The URIs that `root` has replaced; empty if the store was not moved.

    Raises:
        RunError: The store was moved and can't be written to.
    """
    try:
        opened = sqlite3.connect(database, timeout=_SECONDS_TO_WAIT)
    except sqlite3.Error:
        return []  # a folder in its place, for example; MLflow reports that itself
    with closing(opened) as connection:
        try:
            old_roots = sorted(set(_roots(connection)) - {root})
        except sqlite3.Error:
            return []  # the file can't be read; MLflow reports that itself
        try:
            if old_roots:
                _rewrite(connection, old_roots, root)
        except sqlite3.Error as error:
            raise RunError(
                f"{database} was moved or copied here from {old_roots[0]}, and its URIs can't be "
                f"changed to {root}: {error}. Make the file and its folder writable."
            ) from error
    return old_roots


def _roots(connection: sqlite3.Connection) -> Iterator[str]:
    """Yields the folders of artifacts of all experiments, which are at `ROOT/ID` or at `ROOT`."""
    if not _has_column(connection, "experiments", "artifact_location"):
        return
    found = connection.execute("SELECT experiment_id, artifact_location FROM experiments")
    for experiment_id, location in found:
        place = str(location or "").removesuffix(f"/{experiment_id}")
        if place.startswith("file:") and place.endswith(f"/{ARTIFACTS}"):
            yield place


def _rewrite(connection: sqlite3.Connection, old_roots: list[str], root: str) -> None:
    with connection:
        # Takes the write lock at once, and waits for it; a later upgrade of a lock may fail.
        connection.execute("BEGIN IMMEDIATE")
        for table, column, rows in _COLUMNS:
            if not _has_column(connection, table, column):
                continue  # the store is of an earlier version of MLflow
            for old in old_roots:
                # Compared by substr, since LIKE ignores case and has wildcards.
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE {rows} AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                    (root, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def _has_column(connection: sqlite3.Connection, table: str, column: str) -> bool:
    columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return (column,) in columns.fetchall()
