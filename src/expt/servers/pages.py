"""The list of pages that `expt.ui` prints: those of all runs, and those of the newest sweep."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from expt.errors import UserError
from expt.record.visdom import PORT
from expt.runs.chronology import sweeps_by_age
from expt.runs.find import FoundRun, find_run, load_run
from expt.runs.layout import REPORT, SUMMARY
from expt.servers.mlflow_links import all_runs_page, sweep_pages
from expt.servers.tensorboard_links import sweep_page, tensorboard_lines
from expt.servers.view import View


@dataclass(frozen=True)
class Pages:
    """The pages that show the runs of a folder.

    Attributes:
        output_dir: The folder of all runs.
        tensorboard: The URL of TensorBoard.
        mlflow: The URL of MLflow; None if no run is recorded there.
        visdom: The URL of Visdom; None if it is not started.
        view: The folder that TensorBoard shows.
    """

    output_dir: Path
    tensorboard: str
    mlflow: str | None
    visdom: str | None
    view: View

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yields lines to print: a title, empty if it is that of the line before, and a URL."""
        yield from tensorboard_lines(self.tensorboard, self.view.entries, self.view.num_runs)
        if self.mlflow is None:
            yield "MLflow", "not started: no run is recorded there (recorder=mlflow)"
        else:
            yield "MLflow", all_runs_page(self.mlflow, self._latest(), self.output_dir)
        if self.visdom is not None:
            yield "Visdom", f"{self.visdom} for runs with {self._visdom_overrides(self.visdom)}"
        sweep = self._newest_sweep()
        if sweep:
            yield from self._of_sweep(sweep)

    def _visdom_overrides(self, address: str) -> str:
        """Returns the overrides with which a run is recorded on the server."""
        port = urlsplit(address).port
        return "recorder=visdom" + ("" if port == PORT else f" recorder.visdom.port={port}")

    def _of_sweep(self, runs: list[FoundRun]) -> Iterator[tuple[str, str]]:
        folder = runs[0].directory.parent
        yield "newest sweep", os.path.relpath(folder)
        # TensorBoard may show other sweeps, if the user has named them.
        for entry in self.view.entries:
            if entry.directory.resolve() == folder.resolve():
                yield "", sweep_page(self.tensorboard, entry)
        if self.mlflow is not None:
            yield from (("", page) for page in sweep_pages(self.mlflow, folder, runs))
        report = folder / SUMMARY / REPORT
        if report.is_file():
            yield "", report.absolute().as_uri()

    def _latest(self) -> list[FoundRun]:
        # Damaged or missing records must not prevent the servers from starting.
        with suppress(UserError):
            return [find_run("latest", self.output_dir)]
        return []

    def _newest_sweep(self) -> list[FoundRun]:
        """Returns the readable runs of the newest sweep that has any."""
        for folder in reversed(sweeps_by_age(self.output_dir)):
            found = []
            for file in sorted(folder.glob("*/run.json")):
                with suppress(UserError):
                    found.append(load_run(file.parent, self.output_dir))
            if found:
                return found
        return []
