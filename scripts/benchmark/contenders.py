"""The contenders of the benchmark: each runs a command, and reads what it measures."""

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.measurement import (
    Measurement,
    RecordedRun,
    printed_results,
    read_runs,
    run_process,
)


@dataclass(frozen=True)
class Expt:
    """`python -m expt.run`, with all recorders unless the overrides say otherwise.

    Attributes:
        overrides: The arguments.
        measures: `loop` (the training loop), `whole` (the process), or `start` (from the start of
            the process to the end of the first step).
        num_jobs: The number of runs that it must make.
        name: Its name in the table.
    """

    overrides: Sequence[str] = ()
    measures: str = "loop"
    num_jobs: int = 1
    name: str = "expt"

    def measure(self, folder: Path) -> Measurement:
        """Runs the command once, with a new output directory.

        Args:
            folder: The working directory, which has the data.
        """
        output_dir = Path(tempfile.mkdtemp(dir=folder))
        command = [sys.executable, "-m", "expt.run", *self.overrides, f"output_dir={output_dir}"]
        process = run_process(command, folder)
        runs = read_runs(output_dir)
        if len(runs) != self.num_jobs:
            raise RuntimeError(f"{self.name}: {len(runs)} runs, not {self.num_jobs}")
        losses = _mean_losses(runs)
        if self.measures == "loop":
            return process.measurement(runs[0].training_seconds, runs[0].steps, losses=losses)
        if self.measures == "start":
            return process.measurement(runs[0].first_step_time - process.began)
        return process.measurement(losses=losses)


@dataclass(frozen=True)
class Other:
    """Another interpreter's command, such as a script of `scripts/contenders`.

    A script that times a part of its work prints `steps` and `seconds`; of the others, the whole
    process is timed.

    Attributes:
        name: Its name in the table.
        arguments: The arguments of the interpreter.
        python: The interpreter.
        is_bound: Whether it does a part of the work only, so that it can't win.
    """

    name: str
    arguments: Sequence[str]
    python: str = sys.executable
    is_bound: bool = False

    def measure(self, folder: Path) -> Measurement:
        """Runs the command once, in a new folder below `folder`."""
        workplace = Path(tempfile.mkdtemp(dir=folder))
        process = run_process([self.python, *self.arguments], workplace)
        results = printed_results(process.printed)
        losses = {
            name.removesuffix("_loss"): value
            for name, value in results.items()
            if name.endswith("_loss")
        }
        return process.measurement(results.get("seconds"), results.get("steps"), losses=losses)


Contender = Expt | Other


def script(module: str, *arguments: str) -> list[str]:
    """Returns the interpreter's arguments for a script of `scripts/contenders`."""
    return ["-m", f"scripts.contenders.{module}", *arguments]


def _mean_losses(runs: Sequence[RecordedRun]) -> Mapping[str, float]:
    return {name: statistics.mean(run.losses[name] for run in runs) for name in runs[0].losses}
