"""What the recorders' tests share."""

import os
from pathlib import Path
from typing import Any

from expt.record.layers import write_layers
from expt.record.recorder import Record, Scalars
from expt.record.run import Run, Status


def make_run(directory: Path, **changes: Any) -> Run:
    record: dict[str, Any] = {
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
    return Run(directory, directory, config, params, record)


class Remote:
    """A sink that tells through run.json what reached it, and in which process."""

    def open(self, run: Run) -> None:
        self._run, self._steps = run, list[int]()
        print("what a library prints must not disturb the answers")
        run.update(opened_in=os.getpid(), config=dict(run.config))

    def write(self, record: Record) -> None:
        assert isinstance(record, Scalars)
        if record.steps[0] < 0:
            raise ValueError("a negative step")
        self._steps += record.steps.tolist()

    def close(self, status: Status) -> None:
        self._run.update(steps=self._steps, closed_as=str(status))
