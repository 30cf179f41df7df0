"""Helpers of the tests of recorders."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

from expt.record.layers import write_layers
from expt.record.process import Listener
from expt.record.recorder import Record, Scalars
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status


def make_run(directory: Path, **changes: Any) -> Run:
    record: dict[str, Any] = {
        "name": "experiment",
        "run_name": "name_of_the_run",
        "started": 1_795_400_000.0,
        "run_hash": "a" * 64,
        "variant_hash": "b" * 64,
        "data": {
            "name": "digits",
            "task": "classification",
            "fingerprint": "f" * 32,
            "examples": {"train": 3},
            "skipped": 0,
        },
        "parameters": 10,
        "git": {"commit": "c" * 40, "dirty": True},
        "versions": {"python": "3.11"},
        "status": "RUNNING",
    }
    config = {"name": "experiment", "seed": 3, "model": {"units": [1, 2]}, **changes}
    row = {"name": "dense", "type": "Dense", "output_shape": [None, 2], "parameters": 10}
    write_layers(directory, [row])
    params = {"act": "relu", "seed": 3, "model.units": [1, 2], "loop.steps": None}
    return Run(directory, directory, config, params, RunRecord.of(record))


def extra(record: RunRecord, name: str) -> Any:
    """Returns a field that only tests add to a record; None if it is missing."""
    return (record.model_extra or {}).get(name)


class Witness:
    """A follower that writes into run.json which calls reached it, and in which process."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def open(self, run: Run) -> None:
        self._run, self._looks = run, 0
        print("output of a library must not mix with the answers")
        self._listener.log(logging.WARNING, "a word of warning")
        if extra(run.record, "recovers"):
            self._listener.log(logging.INFO, "all is well again")
        run.update(opened_in=os.getpid(), config=dict(run.config), was_resumed=run.is_resumed)

    def advance(self) -> None:
        self._looks += 1
        self._run.update(looks=self._looks)

    def close(self, record: RunRecord) -> str | None:
        self._run.update(closed_as=str(record.status))
        behaviour = extra(record, "behaviour")
        if behaviour == "hang":
            threading.Event().wait()
        if behaviour == "work":  # longer than the deadline, but extending it
            for _ in range(15):
                self._listener.extend_deadline(5.0)
                threading.Event().wait(0.5)
        return "it would not" if behaviour == "refuse" else None


class Memory:
    """A recorder that stores its calls in memory, and raises at the call `fails_at`."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self._fails_at = fails_at

    def open(self, run: Run) -> None:
        assert run.record
        self._note("open")

    def write(self, record: Record) -> None:
        assert isinstance(record, Scalars)
        for step in record.steps:
            self._note(f"write {step}")

    def close(self, status: Status) -> None:
        self._note(f"close {status}")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)
        if call == self._fails_at:
            raise OSError(f"no {call}")


def one_record(step: int) -> Scalars:
    return Scalars.single(step, 1, {"train/loss": 1.0})
