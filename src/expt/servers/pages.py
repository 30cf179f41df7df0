"""The pages worth opening: those of all runs, and those of the newest sweep."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from expt.errors import UserError
from expt.record.planned import REPORT, SUMMARY
from expt.runs.find import FoundRun, find_run, read_run
from expt.runs.order import sweeps_by_age
from expt.servers.mlflow_links import all_runs, of_sweep


@dataclass(frozen=True)
class Pages:
    """Where the records of a folder are shown.

    Attributes:
        output_dir: The folder of all runs.
        tensorboard: The address of TensorBoard.
        mlflow: The address of MLflow, if it has something to show.
    """

    output_dir: Path
    tensorboard: str
    mlflow: str | None

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yields what there is to see, and where."""
        yield "TensorBoard", f"{self.tensorboard}/#timeseries"
        yield "", f"{self.tensorboard}/#hparams"
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
        only = urlencode({"runFilter": folder.name, "smoothing": 0})
        yield "", f"{self.tensorboard}/?{only}#timeseries"
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
                    found.append(read_run(file.parent, self.output_dir))
            if found:
                return found
        return []
