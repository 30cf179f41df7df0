"""Names of files and folders inside the directory of a sweep."""

from pathlib import Path

SUMMARY = Path("summary")
"""The folder for the table, plots and report, relative to the sweep's directory."""

REPORT = "report.html"
"""The HTML report in that folder."""

NOTE = "note.md"
"""The first rows of the table in that folder, short enough for an MLflow note."""
