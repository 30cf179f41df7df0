"""Logging of runs and sweeps to files."""

import logging
from pathlib import Path

from expt.record.streams import StderrHandler

LOG_FILE = "run.log"
"""The name of a run's log file in its directory."""


def log_to_file_and_stderr(file: Path) -> None:
    """Sends log records to a file, and warnings and errors to stderr too."""
    log_to_file(file)
    to_console = StderrHandler()
    to_console.setLevel(logging.WARNING)
    to_console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().addHandler(to_console)


def log_to_file(file: Path) -> None:
    """Sends log records to a file only; previous handlers are removed."""
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    # `force`, since a worker logs one run after another, each to its own file.
    logging.basicConfig(level=logging.INFO, handlers=[to_file], force=True)
