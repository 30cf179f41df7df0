"""Records figures and differences like a run: in a journal, TensorBoard, MLflow and as images."""

import hashlib
import io
import re
import time
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from expt.config.job import Job
from expt.derivatives.figures import Picture
from expt.derivatives.selection import Jobs
from expt.derivatives.study import Section, all_rows
from expt.record.journal import Journal
from expt.record.layers import LAYERS_FILE
from expt.record.recorder import Fanout, Image, Record, Scalars
from expt.runs.directories import create_directory, locked
from expt.runs.environment import environment, process, versions
from expt.runs.folder_identity import assign_number
from expt.runs.git import git_state
from expt.runs.records import NO_TASK, RunRecord
from expt.runs.run import Run, Status
from expt.runs.secrets import redacted_values
from expt.runs.unique_names import reserve_names
from expt.train.recorders import Sinks

_NAME = "gradients"
_NO_DATA = {
    **dict.fromkeys(("name", "source", "fingerprint"), "none"),
    "task": NO_TASK,
    "input_shape": [],
    "class_names": [],
    "skipped": 0,
    "examples": {},
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")  # MLflow refuses other characters


def record_sections(jobs: Jobs, sections: Sequence[Section], dtype: str) -> Path:
    """Records figures and differences as a finished run of the experiment `gradients`.

    The run has no model, data or metrics of a training. Its folder and its recorders are those of
    the config's defaults. Animations are not recorded, because TensorBoard and MLflow show images
    of a step only.

    Args:
        jobs: The selected options.
        sections: The sections of the page.
        dtype: The type in which the tapes computed.

    Returns:
        The directory of the run.

    Raises:
        UserError: The directory can't be created.
    """
    job = next(job for of_group in jobs.values() for job in of_group.values())
    chosen = {group: ",".join(of_group) for group, of_group in jobs.items()}
    params = {**chosen, "dtype": dtype}
    digest = hashlib.sha256(repr(params).encode()).hexdigest()
    directory = create_directory(job.output_dir / "runs", digest[:8])
    run = Run(
        directory,
        job.output_dir,
        {"name": _NAME, **params},
        params,
        _record(job, directory, params),
    )
    sinks = Sinks()
    recorder = Fanout([Journal(), *sinks(job)])
    with locked(directory):
        # The recorders show the layers of a run.
        (directory / LAYERS_FILE).write_text("no model\n", encoding="utf-8")
        run.update(run_hash=digest, variant_hash=digest)
        status = Status.FAILED
        try:
            recorder.open(run)
            for record in _records(sections):
                recorder.write(record)
            status = Status.FINISHED
        finally:
            run.update(status=status, ended=time.time())
            recorder.close(status)
            sinks.stop()
        run.update(closed=True)
    return directory


def _record(job: Job, directory: Path, params: dict[str, Any]) -> RunRecord:
    (run_name,) = reserve_names(job.output_dir, _NAME, [_NAME])
    return RunRecord.of(
        redacted_values(
            {
                "id": uuid.uuid4().hex,
                "name": _NAME,
                "run_name": run_name,
                "directory_name": directory.name,
                "output_dir": str(job.output_dir),
                "place": assign_number(job.output_dir, directory),
                "params": params,
                "overrides": [f"{key}={value}" for key, value in params.items()],
                "choices": {},
                "data": _NO_DATA,
                "parameters": 0,
                "git": git_state(Path.cwd()),
                "versions": versions(),
                "environment": environment(),
                "process": process(),
                "status": Status.RUNNING,
                "closed": False,
                "started": time.time(),
            }
        )
    )


def _records(sections: Sequence[Section]) -> Iterator[Record]:
    values = {}
    for row in all_rows(sections):
        for order, difference in (("first", row.first), ("second", row.second)):
            if difference is not None:
                values[f"{_NAME}/{_as_name(row.function)}/{order}"] = difference.largest
    if values:
        yield Scalars.single(0, 0, values)
    for section in sections:
        for picture in section.pictures:
            name = Path(picture.name)
            if name.suffix == ".png":
                yield Image(0, time.time(), f"{_NAME}/{name.stem}", partial(_pixels, picture))


def _as_name(function: str) -> str:
    """Returns a name for a metric: `act.relu` for `act=relu`, and plain digits for indices."""
    plain = unicodedata.normalize("NFKC", function).replace("=", ".")
    return _NOT_IN_NAMES.sub("_", plain)


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(PillowImage.open(io.BytesIO(picture.data)).convert("RGB"))
