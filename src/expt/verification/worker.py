"""One process of a proof: `python -m expt.verification.worker FOLDER NAME`."""

import json
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.compose import Job
from expt.config.sources import changed_modules, code_of
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.exits import run_main
from expt.runs.changed_code import listed
from expt.runs.parent_process import end_with_parent
from expt.runs.records import read_run
from expt.runs.run import Earlier
from expt.train.backend import start_for
from expt.train.checkpoint import Checkpoint
from expt.train.data_loading import DataLoader
from expt.train.timeline import make_timeline
from expt.verification.data import describe_batches, describe_splits
from expt.verification.proof import Proof
from expt.verification.states import ShowingWriter, StateLog

WHOLE, REPEAT, INTERRUPTED, RESUMED = "whole", "repeat", "interrupted", "resumed"
DATA_FILE = "data.json"
INSPECTION_FILE = "inspection.json"
RUN = "run"
"""The folder of the run in that of a process."""


def main() -> None:
    """Runs the command line."""
    run_main(_run)


def _run(arguments: list[str]) -> int:
    folder, name = arguments
    end_with_parent()
    work(Path(folder), name)
    return 0


def work(folder: Path, name: str) -> None:
    """Does the part of a proof that has a name; leaves what it found in a folder of that name.

    Args:
        folder: Of the proof.
        name: WHOLE, REPEAT and INTERRUPTED train from the beginning, the last of them up to the
            interruption; RESUMED continues that.

    Raises:
        UserError: The data or the code is not that of the proof, or the parts don't fit each other.
    """
    proof, own = Proof.read(folder), folder / name
    own.mkdir()
    whole = DataLoader()(proof.job)
    if whole.fingerprint != proof.fingerprint:
        _write(own / DATA_FILE, {"splits": describe_splits(whole)})
        raise UserError("the data is not what it was when it was loaded first.")
    changed = changed_modules(proof.modules, code_of(proof.job.config).modules)
    if changed:
        raise UserError(f"the code has changed since the proof began: {listed(changed)}.")
    dataset = whole.limited(proof.batches)
    first = proof.interrupt_at if name == RESUMED else 0
    batches = describe_batches(make_timeline(proof.job, dataset), dataset, first)
    _write(own / DATA_FILE, {"batches": batches})
    _train(proof, dataset, folder, name)
    if name == INTERRUPTED:  # the shortest
        _write(own / INSPECTION_FILE, _inspect(proof, dataset))


def _train(proof: Proof, dataset: Dataset, folder: Path, name: str) -> None:
    """Trains as a run does, and keeps the state after each step."""
    directory, log = folder / name / RUN, StateLog(folder / name)
    earlier = None
    if name == RESUMED:
        directory = folder / INTERRUPTED / RUN
        earlier = Earlier(read_run(directory), {})
    else:
        directory.mkdir()

    def show(checkpoint: Checkpoint) -> None:
        log.add(checkpoint)
        if name == INTERRUPTED and checkpoint.step == proof.interrupt_at:
            signal.raise_signal(signal.SIGINT)

    _start(proof.job)
    from expt.train.session import Session

    writer = partial(ShowingWriter, show)
    try:
        Session(proof.job, dataset, directory, [], Console(quiet=True), earlier, writer).run()
    except KeyboardInterrupt:
        if name != INTERRUPTED:
            raise


def _inspect(proof: Proof, dataset: Dataset) -> Mapping[str, Any]:
    _start(proof.job)
    from expt.verification.inspection import inspect_step

    try:
        return inspect_step(proof.job, dataset, proof.total_steps)
    # A step that can be trained eagerly alone raises whatever it likes.
    except Exception as error:  # noqa: BLE001
        return {"failure": str(error).strip().splitlines()[0]}


def _start(job: Job) -> None:
    start_for(job.config)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
