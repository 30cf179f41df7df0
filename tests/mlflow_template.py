"""Databases of MLflow copied from one: making the tables of one takes a second or two."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any


def copy_new_databases(template: Path) -> None:
    """Lets MLflow copy a file for each new SQLite database; the first one becomes that file."""
    from mlflow.store.db import utils
    from mlflow.store.model_registry import sqlalchemy_store as module

    sqlalchemy_store: Any = module
    make: Callable[[Any], None] = utils._initialize_tables

    def copy(engine: Any) -> None:
        if engine.url.get_backend_name() != "sqlite":
            make(engine)
            return
        if not template.exists():
            make(engine)
            part = template.with_suffix(".part")
            _copy(engine, part, is_from_file=False)
            part.replace(template)
        else:
            _copy(engine, template, is_from_file=True)

    utils._initialize_tables = copy
    setattr(sqlalchemy_store, "_initialize_tables", copy)  # noqa: B010


def _copy(engine: Any, file: Path, *, is_from_file: bool) -> None:
    with closing(sqlite3.connect(file)) as one, closing(engine.raw_connection()) as connection:
        source, target = one, connection.driver_connection
        if not is_from_file:
            source, target = target, source
        source.backup(target)
