"""How commands take a run: by directory, name or MLflow id, `latest`, `best` or `best@SWEEP`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from expt.analysis.values import plain
from expt.config.paths import expanded
from expt.errors import UserError
from expt.record.values import format_value
from expt.runs.best import BestRun, find_best, is_best
from expt.runs.find import FoundRun, find_run
from expt.runs.names import name_of
from expt.runs.sweeps import sweep_name, sweep_named

RUN_HELP = (
    "a run's directory, its name, latest, best (of the newest sweep), best@SWEEP, or an MLflow run "
    "id"
)


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names a run, and `--metric`."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_metric_option(parser)


def add_metric_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option by which a user says what `best` means."""
    parser.add_argument(
        "--metric",
        help="which metric of the kept models decides what best is, such as val/accuracy "
        "(default: the one that chose these; where losses differ, another one)",
    )


def take_run(name: str, output_dir: Path, metric: str | None = None) -> FoundRun:
    """Finds a run; prints which one it is if it was not named itself.

    Args:
        name: As typed.
        output_dir: The folder of all runs.
        metric: What `--metric` gave.

    Raises:
        UserError: There is no such run, or no such best one.
    """
    return take_runs([name], output_dir, metric)[0]


def take_finished_run(args: argparse.Namespace, output_dir: Path) -> FoundRun:
    """Finds the run that `add_run_argument` was given, as `take_run` does.

    Raises:
        UserError: There is no such run, or it has saved no model.
    """
    run = take_run(args.run, output_dir, args.metric)
    _ = run.model_file  # raises
    return run


def take_runs(names: Sequence[str], output_dir: Path, metric: str | None = None) -> list[FoundRun]:
    """Finds some runs, as `take_run` does."""
    if metric is not None and not any(map(is_best, names)):
        raise UserError(f"--metric {metric}: expected only with best or best@SWEEP.")
    runs = []
    for name in names:
        best = find_best(name, output_dir, metric) if is_best(name) else None
        run = find_run(name, output_dir) if best is None else best.run
        if best is not None or name == "latest":
            print(f"{name}: {shown(run)}{'' if best is None else _reason(best)}", flush=True)
        runs.append(run)
    return runs


def find_directory(name: str, output_dir: Path) -> Path:
    """Finds a run or a sweep, or a folder of some; prints which one `latest` or `best` is.

    Raises:
        UserError: There is none.
    """
    folder = expanded(name)
    if folder.is_dir():
        return folder
    sweep = None if is_best(name) else sweep_named(name, output_dir)
    return take_run(name, output_dir).directory if sweep is None else sweep


def shown(run: FoundRun) -> str:
    """Returns a run's directory as it can be typed here, with its name if that is another one."""
    return _with_name(run.directory, name_of(run.record, run.directory))


def shown_sweep(directory: Path) -> str:
    """Returns a sweep's directory, with its name if that is another one."""
    return _with_name(directory, sweep_name(directory))


def _with_name(directory: Path, name: str) -> str:
    path = plain(os.path.relpath(directory))
    return path if name == directory.name else f"{path} ({plain(name)})"


def _reason(best: BestRun) -> str:
    found, where = best.best, plain(best.where)
    text = f", {found.metric} {format_value(found.value)}, the best of {found.count} in {where}"
    return f"{text}; {best.left_out} left out" if best.left_out else text
