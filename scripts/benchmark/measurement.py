"""Measurements of processes: their time, memory, and the results that they print or record."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measurement:
    """The measurement of one process.

    Attributes:
        seconds: The duration of what the row measures.
        steps: The number of optimizer steps in that time; None if a whole process is measured.
        processor_seconds: Of the whole process and of the processes that it has waited for.
        megabytes: The peak resident memory of the process, or of its largest child.
        losses: The final losses by split; empty if nothing is trained.
    """

    seconds: float
    steps: int | None
    processor_seconds: float
    megabytes: float
    losses: Mapping[str, float] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        """Steps per second, or how often per second the whole is done."""
        return (self.steps or 1) / self.seconds


@dataclass(frozen=True)
class Process:
    """A process that has ended successfully.

    Attributes:
        began: When it was started, in seconds since 1970.
        seconds: The duration from its start to its end.
        processor_seconds: See `Measurement`.
        megabytes: See `Measurement`.
        printed: Its standard output.
    """

    began: float
    seconds: float
    processor_seconds: float
    megabytes: float
    printed: str

    def measurement(
        self, seconds: float | None = None, steps: int | None = None, **more: Any
    ) -> Measurement:
        """Returns a measurement of this process; `seconds` is its whole duration if None."""
        duration = self.seconds if seconds is None else seconds
        return Measurement(duration, steps, self.processor_seconds, self.megabytes, **more)


def run_process(command: Sequence[str], folder: Path) -> Process:
    """Runs a command in `folder`, and waits for it.

    Raises:
        RuntimeError: The command failed; the message ends with the last lines of its output.
    """
    paths = [str(ROOT), str(ROOT / "src")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "MLFLOW_DISABLE_TELEMETRY": "true",  # its sending would be measured; expt sends none
    }
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        began, started = time.time(), time.perf_counter()
        process = subprocess.Popen(
            list(command), cwd=folder, stdout=printed, stderr=errors, env=environment
        )
        # Not `wait`, which does not return the usage of this very child.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        errors.seek(0)
        text = printed.read()
        if process.returncode != 0:
            last = "\n".join((text + errors.read()).splitlines()[-20:])
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{last}")
    processor = usage.ru_utime + usage.ru_stime
    return Process(began, seconds, processor, usage.ru_maxrss / 1024, text)


def printed_results(text: str) -> dict[str, Any]:
    """Returns the results in the last line of JSON that was printed; empty if there is none."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    results: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return results


@dataclass(frozen=True)
class RecordedRun:
    """A finished run of expt, from its files.

    Attributes:
        steps: The number of its steps.
        training_seconds: The duration of its training loop.
        first_step_time: When its first step ended, in seconds since 1970.
        losses: The mean of the training loss over the last epoch, and the last validation loss.
    """

    steps: int
    training_seconds: float
    first_step_time: float
    losses: Mapping[str, float]


def read_runs(output_dir: Path) -> list[RecordedRun]:
    """Returns the runs in a folder.

    Raises:
        RuntimeError: A run is not FINISHED.
    """
    return [_read_run(file) for file in sorted(output_dir.rglob("run.json"))]


def _read_run(file: Path) -> RecordedRun:
    from expt.record.journal import FILE_NAME, read_journal

    record = json.loads(file.read_text())
    if record["status"] != "FINISHED":
        raise RuntimeError(f"{file} is {record['status']}, not FINISHED")
    rows = list(read_journal(file.parent / FILE_NAME))
    trained = [row for row in rows if "train/loss" in row]
    last = [row["train/loss"] for row in trained if row["epoch"] == trained[-1]["epoch"]]
    validated = [row["val/loss"] for row in rows if "val/loss" in row]
    losses = {"train": sum(last) / len(last)}
    if validated:
        losses["validation"] = validated[-1]
    return RecordedRun(
        steps=trained[-1]["step"],
        training_seconds=record["training_seconds"],
        first_step_time=trained[0]["time"],
        losses=losses,
    )
