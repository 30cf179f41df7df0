"""MLflow's server stopped, gone and hanging while a run trains; nothing may be lost or doubled."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from mlflow_helpers import (
    Server,
    assert_store_equals_files,
    client_of,
    end,
    journal_metrics,
    stored_metrics,
    write_scalars,
)
from record_helpers import make_run

from conftest import Command
from expt.record.mlflow import MLflowRecorder
from expt.record.run import Status

STEPS = 19 * 400
OVERRIDES = ["loop.epochs=400", "loop.image_every=100ep", "recorder=mlflow", "loop.save_every=null"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


def _until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def _training(folder: Path, uri: str, *overrides: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "expt.run", *OVERRIDES, *overrides]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _directory(folder: Path) -> Path | None:
    return next((file.parent for file in folder.glob("outputs/runs/*/*/metrics.jsonl")), None)
