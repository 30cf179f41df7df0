"""The command-line argument that names a run.

A run is named by its directory, its name, an MLflow run id, `latest`, `best` or `best@SWEEP`.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from expt.analysis.values import plain
from expt.config.paths import expand_path
from expt.errors import UserError
from expt.record.values import format_value
from expt.runs.best import BestRun, find_best, is_best
from expt.runs.find import FoundRun, find_run
from expt.runs.names import name_of
from expt.runs.sweeps import sweep_name, sweep_named

RUN_HELP = (
    "a run's directory or name, latest, best (of the newest sweep), best@SWEEP, or an MLflow run id"
)
"""The help text of a RUN argument."""


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument RUN and the option `--metric` to a parser."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_metric_option(parser)


def add_metric_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--metric`, which selects the metric behind `best`, to a parser."""
    parser.add_argument(
        "--metric",
        help="the metric of the best checkpoints that decides which run is best, such as "
        "val/accuracy (default: the monitored metric; if that is a loss and the runs have "
        "different losses, another metric)",
    )


def resolve_run(name: str, output_dir: Path, metric: str | None = None) -> FoundRun:
    """Finds the run that an argument names; prints which one `latest` or `best` is.

    Args:
        name: The argument as typed.
        output_dir: The folder of all runs.
        metric: The value of `--metric`.

    Raises:
        UserError: There is no such run, no best one, or `--metric` does not apply.
    """
    return resolve_runs([name], output_dir, metric)[0]


def resolve_finished_run(args: argparse.Namespace, output_dir: Path) -> FoundRun:
    """Finds the run that the argument RUN names, and checks that it has a saved model.

    Args:
        args: The parsed arguments of `add_run_argument`.
        output_dir: The folder of all runs.

    Raises:
        UserError: There is no such run, or it has no saved model.
    """
    run = resolve_run(args.run, output_dir, args.metric)
    _ = run.model_file  # raises UserError if there is none, before TensorFlow is imported
    return run


def resolve_runs(
    names: Sequence[str], output_dir: Path, metric: str | None = None
) -> list[FoundRun]:
    """Finds the runs that several arguments name; see `resolve_run`."""
    if metric is not None and not any(map(is_best, names)):
        raise UserError(
            f"--metric {metric}: this option applies only to the runs best and best@SWEEP."
        )
    runs = []
    for name in names:
        best = find_best(name, output_dir, metric) if is_best(name) else None
        run = find_run(name, output_dir) if best is None else best.run
        if best is not None or name == "latest":
            print(f"{name}: {shown(run)}{'' if best is None else _reason(best)}", flush=True)
        runs.append(run)
    return runs


def find_directory(name: str, output_dir: Path) -> Path:
    """Finds the directory of a run or sweep, or a folder of runs.

    For `latest` and `best`, the run that they select is printed; see `resolve_run`.

    Args:
        name: The argument as typed.
        output_dir: The folder of all runs.

    Raises:
        UserError: There is no such run, sweep or folder.
    """
    folder = expand_path(name)
    if folder.is_dir():
        return folder
    sweep = None if is_best(name) else sweep_named(name, output_dir)
    return resolve_run(name, output_dir).directory if sweep is None else sweep


def shown(run: FoundRun) -> str:
    """Returns the relative directory of a run, followed by its name if that is different."""
    return _with_name(run.directory, name_of(run.record, run.directory))


def format_sweep(directory: Path) -> str:
    """Returns the relative directory of a sweep, followed by its name if that is different."""
    return _with_name(directory, sweep_name(directory))


def _with_name(directory: Path, name: str) -> str:
    path = plain(os.path.relpath(directory))
    return path if name == directory.name else f"{path} ({plain(name)})"


def _reason(best: BestRun) -> str:
    found, where = best.best, plain(best.where)
    text = f", {found.metric} {format_value(found.value)}, the best of {found.count} in {where}"
    return f"{text}; {best.left_out} left out" if best.left_out else text
