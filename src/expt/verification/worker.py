"""A process of a verification: `python -m expt.verification.worker FOLDER NAME`."""

import json
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.job import Job
from expt.config.sources import changed_modules, code_of
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.exits import run_main
from expt.runs.changed_code import listed
from expt.runs.parent_process import end_with_parent
from expt.runs.records import read_run
from expt.runs.run import PreviousRun
from expt.train.backend import start_for
from expt.train.checkpoint import Checkpoint
from expt.train.data_loading import DataLoader
from expt.train.timeline import make_timeline
from expt.verification.data import describe_batches, describe_splits
from expt.verification.plan import VerificationPlan
from expt.verification.states import CallbackCheckpointWriter, StateLog

WHOLE, REPEAT, INTERRUPTED, RESUMED = "whole", "repeat", "interrupted", "resumed"
DATA_FILE = "data.json"
INSPECTION_FILE = "inspection.json"
RUN = "run"
"""The name of the run's folder in the folder of a process."""


def main() -> None:
    """Runs the command line."""
    run_main(_run)


def _run(arguments: list[str]) -> int:
    folder, name = arguments
    end_with_parent()
    work(Path(folder), name)
    return 0


def work(folder: Path, name: str) -> None:
    """Runs one training of a verification, and writes its results to a folder of the same name.

    Args:
        folder: The folder of the verification.
        name: The name of the training. WHOLE, REPEAT and INTERRUPTED start at the first step;
            INTERRUPTED stops at the interruption, from which RESUMED continues.

    Raises:
        UserError: The data or the code differs from that of the plan, or the parts of the config
            are incompatible.
    """
    plan, own = VerificationPlan.read(folder), folder / name
    own.mkdir()
    whole = DataLoader()(plan.job)
    if whole.fingerprint != plan.fingerprint:
        _write(own / DATA_FILE, {"splits": describe_splits(whole)})
        raise UserError("the data has changed since it was first loaded.")
    changed = changed_modules(plan.modules, code_of(plan.job.config).modules)
    if changed:
        raise UserError(f"the code has changed since the verification began: {listed(changed)}.")
    dataset = whole.limited(plan.batches)
    first = plan.interrupt_at if name == RESUMED else 0
    batches = describe_batches(make_timeline(plan.job, dataset), dataset, first)
    _write(own / DATA_FILE, {"batches": batches})
    _train(plan, dataset, folder, name)
    # The inspection takes time, and this process is the first to be done with its training.
    if name == INTERRUPTED:
        _write(own / INSPECTION_FILE, _inspect(plan, dataset))


def _train(plan: VerificationPlan, dataset: Dataset, folder: Path, name: str) -> None:
    """Trains in the same way as a run, and logs the state after each step."""
    directory, log = folder / name / RUN, StateLog(folder / name)
    earlier = None
    if name == RESUMED:
        directory = folder / INTERRUPTED / RUN
        earlier = PreviousRun(read_run(directory), {})
    else:
        directory.mkdir()

    def log_state(checkpoint: Checkpoint) -> None:
        log.add(checkpoint)
        # The signal of a Ctrl-C, so that the training ends and saves as an interrupted run does.
        if name == INTERRUPTED and checkpoint.step == plan.interrupt_at:
            signal.raise_signal(signal.SIGINT)

    _start(plan.job)
    from expt.train.session import Session

    writer = partial(CallbackCheckpointWriter, log_state)
    try:
        Session(plan.job, dataset, directory, [], Console(quiet=True), earlier, writer).run()
    except KeyboardInterrupt:
        if name != INTERRUPTED:
            raise


def _inspect(plan: VerificationPlan, dataset: Dataset) -> Mapping[str, Any]:
    _start(plan.job)
    from expt.verification.inspection import inspect_step

    try:
        return inspect_step(plan.job, dataset, plan.total_steps)
    # Tracing raises any type of exception for a step that only runs eagerly.
    except Exception as error:  # noqa: BLE001
        return {"failure": str(error).strip().splitlines()[0]}


def _start(job: Job) -> None:
    start_for(job.config)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
