"""Where things are in the directories of runs and sweeps."""

from pathlib import Path

SUMMARY = Path("summary")
"""The folder in a sweep's directory for its table, plots and report."""

REPORT = "report.html"
"""The page in it."""

NOTE = "note.md"
"""The head of the table in it, for where there is little room."""
