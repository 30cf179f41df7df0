"""Creates and updates the record of a run, run.json: its identity, origin and resumptions."""

import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from expt.config.declarations import DIRECTION_KEY, task_of
from expt.config.hashes import run_hash, variant_hash
from expt.config.job import Job
from expt.config.params import make_params
from expt.config.sources import Code, changed_modules
from expt.parts.data.dataset import Dataset
from expt.parts.data.example_hashes import ExampleHashes
from expt.parts.data.scale import Scale
from expt.record.journal import FILE_NAME, complete_size
from expt.record.layers import write_layers
from expt.record.mlflow.copies import Copies
from expt.runs.changed_code import recorded_code
from expt.runs.environment import environment, machine, process, versions
from expt.runs.folder_identity import assign_number
from expt.runs.git import git_diff, git_state
from expt.runs.naming import distinctive_keys, run_name
from expt.runs.records import RunRecord
from expt.runs.run import Membership, PreviousRun, Run, Status
from expt.runs.secrets import redacted, redacted_values
from expt.runs.unique_names import reserve_names
from expt.train.backend import devices, threads_in_effect
from expt.train.class_weights import class_weights
from expt.train.layer_table import layer_table
from expt.train.learners.learner import Learner
from expt.train.timeline import make_timeline

DIFF_FILE = "git.diff"


def new_run(
    job: Job,
    dataset: Dataset,
    directory: Path,
    learner: Learner,
    code: Code,
    sweep: Membership | None = None,
) -> Run:
    """Returns a new run; its run.json, layers.md and git.diff are written.

    Args:
        job: The job, with its frozen config.
        dataset: The data set of the job.
        directory: The run directory; it must exist.
        learner: The learner, whose networks are described.
        code: The code that the run executes.
        sweep: The sweep that the run is a job of; None for a single run.
    """
    keys = distinctive_keys(job, () if sweep is None else sweep.varied)
    place = assign_number(job.output_dir, directory)
    record = {
        "id": uuid.uuid4().hex,
        "run_name": _name(job, keys) if sweep is None else sweep.run_name,
        "directory_name": directory.name,
        "distinctive": keys,
        **_config_fields(job, dataset, code),
        "sweep": None if sweep is None else sweep.to_mapping(),
        "overrides": list(job.overrides),
        "choices": job.choices,
        "data": _data_fields(job, dataset),
        "class_weights": class_weights(job, dataset),
        **_model_fields(learner),
        "watched": job.config.loop.watch or learner.watched,
        "git": git_state(Path.cwd()),
        **_process_fields(),
        "status": Status.RUNNING,
        "closed": False,
        "started": time.time(),
        "place": place,
    }
    write_layers(directory, layer_table(learner.networks))
    if (diff := git_diff(Path.cwd())) is not None:
        (directory / DIFF_FILE).write_text(redacted(diff), encoding="utf-8")
    run = _make_run(job, directory, record)
    _write_hashes(directory, dataset)
    # run.json is written last: a directory with one holds a complete run.
    run.update()
    return run


def _name(job: Job, keys: Sequence[str]) -> str:
    (name,) = reserve_names(job.output_dir, job.config.name, [run_name(job, keys)])
    return name


def resumed_run(
    job: Job,
    dataset: Dataset,
    directory: Path,
    earlier: PreviousRun,
    step: int,
    code: Code,
    note: str | None = None,
) -> Run:
    """Returns a run that is continued; its updated run.json is written.

    Fields about the data that older versions of expt did not record are added. If the run is a
    copy of another one, it gets a separate run in MLflow.

    Args:
        job: The job as it is continued.
        dataset: The data set of the job.
        directory: The run directory.
        earlier: The record of the previous run, and the changes to its config.
        step: The step from which training continues.
        code: The code that the run executes from now on.
        note: How the learning rate changes because the run's length has changed, if it does.
    """
    before = recorded_code(earlier.record)
    entry = {
        "step": step,
        "time": time.time(),
        "from": earlier.record.status,
        "changes": dict(earlier.changes),
        **({} if note is None else {"note": note}),
    }
    if before is None or before.modules != code.modules:
        entry["code"] = {
            "from": None if before is None else before.hash,
            "changed": [] if before is None else changed_modules(before.modules, code.modules),
        }
    record = {
        **earlier.record.to_mapping(),
        **Copies().settle(earlier.record, directory, job.output_dir),
        **_config_fields(job, dataset, code.after(before, step)),
        "data": {**earlier.record.data.to_mapping(), **_data_identity(dataset)},
        **_process_fields(),
        "status": Status.RUNNING,
        "closed": False,
        "resumed": [*earlier.record.resumed, entry],
    }
    # The outcome of the previous process, which does not apply to a run that is RUNNING again.
    for outcome in ("ended", "error", "traceback", "findings"):
        record.pop(outcome, None)
    run = _make_run(job, directory, record)
    _write_hashes(directory, dataset)
    # The size of the journal's complete lines: a last line that a crash has cut off is dropped.
    run.is_resumed, run.recorded = True, complete_size(directory / FILE_NAME)
    run.update()
    return run


def _make_run(job: Job, directory: Path, record: dict[str, Any]) -> Run:
    # Without secrets, such as passwords in a tracking URI, in anything that is stored or sent.
    return Run(
        directory,
        job.output_dir,
        redacted_values(job.config.to_mapping()),
        redacted_values(make_params(job)),
        RunRecord.of(redacted_values(record)),
    )


def _config_fields(job: Job, dataset: Dataset, code: Code) -> dict[str, Any]:
    return {
        "name": job.config.name,
        "output_dir": str(job.output_dir),
        "seed": job.config.seed,
        "run_hash": run_hash(job.config, dataset.fingerprint, code.hash),
        "variant_hash": variant_hash(job.config, dataset.fingerprint, code.hash),
        "code": code.to_mapping(),
        "params": make_params(job),
        "planned_steps": make_timeline(job, dataset).total_steps,
        "larger_is_better": [
            name for name, node in job.config.metric.items() if node.get(DIRECTION_KEY) == "max"
        ],
    }


def _data_fields(job: Job, dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "source": job.config.data["_target_"],
        "task": task_of(job, dataset.task),
        **_data_identity(dataset),
        "skipped": dataset.skipped,
        "preparation": dataset.preparation,
        "notes": list(dataset.notes),
        "input_shape": list(dataset.input_shape),
        "feature_names": list(dataset.feature_names),
        "class_names": list(dataset.class_names),
        "input_scale": _scale_fields(dataset.input_scale),
        "target_scale": _scale_fields(dataset.target_scale),
        "examples": {name: len(split) for name, split in dataset.splits()},
    }


def _data_identity(dataset: Dataset) -> dict[str, Any]:
    hashes = ExampleHashes.of(dataset)
    return {
        "fingerprint": dataset.fingerprint,
        "other_columns": dict(dataset.other_columns),
        "example_hashes": None if hashes is None else hashes.kind,
    }


def _write_hashes(directory: Path, dataset: Dataset) -> None:
    # `expt.evaluate` leaves out the examples that the run was trained on by these.
    hashes = ExampleHashes.of(dataset)
    if hashes is not None:
        hashes.write(directory)


def _scale_fields(scale: Scale | None) -> dict[str, list[float]] | None:
    return None if scale is None else scale.to_mapping()


def _model_fields(learner: Learner) -> dict[str, Any]:
    networks: Sequence[keras.Model] = learner.networks
    # `model.output` of a Sequential model raises an error until the model is called.
    (output,) = learner.model.outputs
    return {
        "parameters": sum(int(network.count_params()) for network in networks),
        "model_input_shape": list(learner.model.input_shape[1:]),
        "model_output_shape": list(learner.model.output_shape[1:]),
        "model_input_dtype": learner.model.inputs[0].dtype,
        # The type of the predictions, which is float32 for mixed precision too.
        "model_output_dtype": "float64" if output.dtype == "float64" else "float32",
    }


def _process_fields() -> dict[str, Any]:
    return {
        "versions": versions(),
        "machine": {**machine(), "devices": devices(), "threads": threads_in_effect()},
        "environment": environment(),
        "process": process(),
    }
