"""An embedded MLflow store whose folder was moved or copied: artifacts lie beside it again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from expt.errors import RunError

ARTIFACTS = "mlartifacts"
"""The folder of artifacts beside an embedded store."""

_SECONDS_TO_WAIT = 20.0  # for another process that writes, as long as MLflow waits
# MLflow keeps absolute addresses, in these columns; the last item selects the rows.
_COLUMNS = (
    ("experiments", "artifact_location", "1"),
    ("runs", "artifact_uri", "1"),
    ("logged_models", "artifact_location", "1"),
    ("model_versions", "source", "1"),
    ("model_versions", "storage_location", "1"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)


def relocate(database: Path, root: str) -> list[str]:
    """Rewrites the addresses of artifacts that lead to where the store was before.

    Without this, new artifacts of a moved store would recreate the folder that it came from, and
    those of a copy would land in the original. All rows change in one transaction or none does.

    Args:
        database: The store's file.
        root: The address of the folder of artifacts beside it.

    Returns:
        The addresses that `root` replaces; none if the store has not been moved.

    Raises:
        RunError: The store has been moved and can't be written to.
    """
    try:
        opened = sqlite3.connect(database, timeout=_SECONDS_TO_WAIT)
    except sqlite3.Error:
        return []  # such as a folder in its place; MLflow reports that itself
    with closing(opened) as connection:
        try:
            old_roots = sorted(set(_roots(connection)) - {root})
        except sqlite3.Error:
            return []  # it can't be read: MLflow reports that itself
        try:
            if old_roots:
                _rewrite(connection, old_roots, root)
        except sqlite3.Error as error:
            raise RunError(
                f"{database} was moved or copied here from {old_roots[0]}, and its addresses can't "
                f"be changed to {root}: {error}. Make the file and its folder writable."
            ) from error
    return old_roots


def _roots(connection: sqlite3.Connection) -> Iterator[str]:
    """Yields the folders of artifacts that experiments name: `ROOT`, or `ROOT/ID` by default."""
    if not _has(connection, "experiments", "artifact_location"):
        return
    found = connection.execute("SELECT experiment_id, artifact_location FROM experiments")
    for experiment_id, location in found:
        place = str(location or "").removesuffix(f"/{experiment_id}")
        if place.startswith("file:") and place.endswith(f"/{ARTIFACTS}"):
            yield place


def _rewrite(connection: sqlite3.Connection, old_roots: list[str], root: str) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column, rows in _COLUMNS:
            if not _has(connection, table, column):
                continue  # an earlier version of MLflow made the store
            for old in old_roots:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE {rows} AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                    (root, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return (column,) in columns.fetchall()
