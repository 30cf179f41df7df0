"""The pages worth opening: those of all runs, and those of the newest sweep."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from expt.errors import UserError
from expt.record.planned import REPORT, SUMMARY, read_mlflow_place
from expt.runs.find import FoundRun, find_run, read_run
from expt.runs.order import sweeps_by_age
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
            yield "MLflow", self._runs_in_mlflow(self._latest()) or f"{self.mlflow}/#/experiments"
        sweep = self._newest_sweep()
        if sweep:
            yield from self._of_sweep(sweep)

    def _of_sweep(self, runs: list[FoundRun]) -> Iterator[tuple[str, str]]:
        folder = runs[0].directory.parent
        yield "newest sweep", os.path.relpath(folder)
        for shown in self.view.shown:
            if shown.directory.resolve() == folder.resolve():
                yield "", sweep_line(self.tensorboard, shown)
        place = read_mlflow_place(folder)
        if self.mlflow is not None and place is not None:
            experiment, run = (quote(one, safe="") for one in place)
            yield "", f"{self.mlflow}/#/experiments/{experiment}/runs/{run}"
        in_mlflow = self._runs_in_mlflow(runs)
        if in_mlflow is not None:
            # By its last part: the folder of all runs may have been moved since.
            name = f"{folder.parent.name}/{folder.name}/"
            chosen = {
                "searchFilter": f"tags.run_directory LIKE '%{name}%'",
                # By time, which is the default, they would be folded up below the sweep's run.
                "orderByKey": "tags.`mlflow.source.name`",
            }
            yield "", f"{in_mlflow}?{urlencode(chosen, quote_via=quote)}&compareRunsMode=CHART"
        report = folder / SUMMARY / REPORT
        if report.is_file():
            yield "", report.absolute().as_uri()

    def _runs_in_mlflow(self, runs: list[FoundRun]) -> str | None:
        """The page of the MLflow experiment that the first of some runs is in."""
        for run in runs if self.mlflow is not None else ():
            experiment = (run.record.get("mlflow") or {}).get("experiment_id")
            if experiment is not None:
                return f"{self.mlflow}/#/experiments/{quote(experiment, safe='')}/runs"
        return None

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
