"""The pages worth opening: those of all runs, and those of the newest sweep."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError
from expt.runs.chronology import sweeps_by_age
from expt.runs.find import FoundRun, find_run, load_run
from expt.runs.layout import REPORT, SUMMARY
from expt.servers.mlflow_links import all_runs, of_sweep
from expt.servers.tensorboard_links import sweep_line, tensorboard_lines
from expt.servers.view import View


@dataclass(frozen=True)
class Pages:
    """Where the records of a folder are shown.

    Attributes:
        output_dir: The folder of all runs.
        tensorboard: The address of TensorBoard.
        mlflow: The address of MLflow, if it has something to show.
        view: What TensorBoard shows.
    """

    output_dir: Path
    tensorboard: str
    mlflow: str | None
    view: View

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yields what there is to see, and where."""
        yield from tensorboard_lines(self.tensorboard, self.view.shown, self.view.num_runs)
        if self.mlflow is None:
            yield "MLflow", "not started: no run is recorded there (recorder=mlflow)"
        else:
            yield "MLflow", all_runs(self.mlflow, self._latest(), self.output_dir)
        sweep = self._newest_sweep()
        if sweep:
            yield from self._of_sweep(sweep)

    def _of_sweep(self, runs: list[FoundRun]) -> Iterator[tuple[str, str]]:
        folder = runs[0].directory.parent
        yield "newest sweep", os.path.relpath(folder)
        for shown in self.view.shown:
            if shown.directory.resolve() == folder.resolve():
                yield "", sweep_line(self.tensorboard, shown)
        if self.mlflow is not None:
            yield from (("", page) for page in of_sweep(self.mlflow, folder, runs))
        report = folder / SUMMARY / REPORT
        if report.is_file():
            yield "", report.absolute().as_uri()

    def _latest(self) -> list[FoundRun]:
        with suppress(UserError):
            return [find_run("latest", self.output_dir)]
        return []

    def _newest_sweep(self) -> list[FoundRun]:
        """The runs of it that can be read."""
        for folder in reversed(sweeps_by_age(self.output_dir)):
            found = []
            for file in sorted(folder.glob("*/run.json")):
                with suppress(UserError):
                    found.append(load_run(file.parent, self.output_dir))
            if found:
                return found
        return []
