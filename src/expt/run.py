"""`python -m expt.run [-m] [overrides]`: trains one run, or with -m a sweep."""

import hashlib
import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from expt.assembly import DataLoader, Sinks
from expt.command import exit_code, run_command, tell
from expt.config.compose import Job, compose_jobs, directory_override, is_multirun, prepare_hydra
from expt.config.hashes import run_hash
from expt.config.location import config_directory
from expt.errors import UserError
from expt.record.directories import allocate, discard
from expt.record.mlflow import store_uri
from expt.record.run import Status
from expt.train.backend import start_tensorflow


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    args = get_args_parser().parse_args(arguments)
    if args.help or args.hydra_help or args.shell_completion or args.info:
        prepare_hydra()
        _hand_to_hydra(arguments, _train_nothing)
        return 0
    jobs, hydra_node = compose_jobs(args.overrides, args.config_dir, args.multirun)
    if args.cfg:
        _hand_to_hydra(arguments, _train_nothing)
        return 0
    return _train(arguments, args, jobs, hydra_node)


def _train(
    arguments: list[str], args: Namespace, jobs: Sequence[Job], hydra_node: DictConfig
) -> int:
    """Checks all jobs and loads their data; only then makes a directory and trains them."""
    load = DataLoader()
    hashes = [run_hash(job.config, load(job).fingerprint) for job in jobs]
    is_sweep = is_multirun(hydra_node)
    output_dir = Path(jobs[0].config["output_dir"]).absolute()
    key, directory = ("hydra.run.dir", hydra_node.run.dir)
    if is_sweep:
        key, directory = ("hydra.sweep.dir", hydra_node.sweep.dir)
    chosen_by_user = any(override.startswith(f"{key}=") for override in args.overrides)
    if chosen_by_user:
        _refuse_used(Path(directory))
    else:
        name = hashlib.sha256("".join(hashes).encode()).hexdigest() if is_sweep else hashes[0]
        directory = allocate(output_dir / ("sweeps" if is_sweep else "runs"), name[:8])
        arguments = [*arguments, directory_override(key, directory)]

    console, sinks = Console(), Sinks()
    errors: list[Exception] = []

    def train_one(config: DictConfig) -> None:
        job, place = Job.current(config), Path(HydraConfig.get().runtime.output_dir)
        try:
            recorders = sinks(job)
            start_tensorflow(job.config["seed"], job.config["loop"]["precision"])
            from expt.job import run_job

            record = run_job(job, load(job), place, recorders, console)
        except Exception as error:  # noqa: BLE001  told at once; a sweep's other jobs go on
            errors.append(error)
            tell(error)
        else:
            console.print(_outcome(record), highlight=False, soft_wrap=True)

    try:
        _hand_to_hydra(arguments, train_one)
        # Not after an interruption: the run is closed, or a second Ctrl-C wants out at once.
        sinks.stop()
    finally:
        if any(Path(directory).rglob("run.json")):
            _print_where_to_look(console, output_dir)
        elif not chosen_by_user:
            discard(Path(directory), root=output_dir)
    if is_sweep:
        return 0 if _all_finished(Path(directory)) else 1
    return exit_code(errors[0]) if errors else 0


def _all_finished(sweep: Path) -> bool:
    """Whether every job of a sweep finished; jobs may have run in other processes."""
    runs = [folder.parent / "run.json" for folder in sweep.glob("*/.hydra")]
    return all(
        run.is_file() and json.loads(run.read_text())["status"] == Status.FINISHED for run in runs
    )


def _train_nothing(config: DictConfig) -> None:
    """Stands in where Hydra only shows something."""


def _hand_to_hydra(arguments: list[str], task: Callable[[DictConfig], None]) -> None:
    """Lets Hydra run a command line."""
    decorate = hydra.main(
        version_base="1.3", config_path=str(config_directory()), config_name="config"
    )
    with _arguments(arguments):
        decorate(task)()


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _refuse_used(directory: Path) -> None:
    if any(directory.rglob("run.json")):
        raise UserError(
            f"{directory} already holds a run; no two runs share a directory. Choose another one, "
            "or leave it to expt."
        )


def _outcome(record: dict[str, Any]) -> str:
    """One line on how a run came out."""
    final, best = record["final"], record["best"]
    numbers = "  ".join(
        f"{name} {value:.4f}" for name, value in final.items() if name.startswith(("val/", "test/"))
    )
    seconds = record["ended"] - record["started"]
    stopped = f"stopped early: {record['stopped']}\n" if record["stopped"] else ""
    return (
        f"{record['status']} after {final['step']} steps, {seconds:.1f} s  {numbers}\n"
        f"{stopped}"
        f"best model: step {best['step']}, {best['watched']} {best[best['watched']]:.4f} "
        "(model.keras, test/* are its)"
    )


def _print_where_to_look(console: Console, output_dir: Path) -> None:
    folder = os.path.relpath(output_dir)
    unsampled = ["--samples_per_plugin", "images=0,scalars=0"]
    lines = {"TensorBoard": _command("tensorboard", "--logdir", folder, *unsampled)}
    if "MLFLOW_TRACKING_URI" in os.environ:
        lines["MLflow"] = "the store at MLFLOW_TRACKING_URI"  # which may hold a password
    else:
        lines["MLflow"] = _command("mlflow", "ui", "--backend-store-uri", store_uri(output_dir))
    for name, line in lines.items():
        console.print(f"{name:<12} {line}", highlight=False, soft_wrap=True)


def _command(name: str, *arguments: str) -> str:
    """A command line that works here, whether or not the environment is activated."""
    program = Path(sys.executable).parent / name
    on_path = str(program.parent) in os.environ.get("PATH", "").split(os.pathsep)
    return shlex.join([name if on_path else os.path.relpath(program), *arguments])


if __name__ == "__main__":
    main()
