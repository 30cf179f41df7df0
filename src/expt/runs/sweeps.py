"""What a sweep leaves beside its jobs' runs."""

from pathlib import Path

SUMMARY = Path("summary")
"""The folder in a sweep's directory for its table, plots and report."""

REPORT = "report.html"
"""The page in it."""
