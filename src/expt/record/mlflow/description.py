"""The description of a run in an MLflow store: params, tags, text files and the data set."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

from expt.record.layers import LAYERS_FILE
from expt.runs.record_parts import DataRecord, GitRecord
from expt.runs.records import RunRecord
from expt.runs.run import Run
from expt.runs.secrets import redacted, redacted_values

# MLflow accepts at most so many params or tags per request, and values of at most these lengths.
_A_REQUEST = 100
_PARAM_LENGTH, _TAG_LENGTH = 6_000, 8_000
_PLAIN_GROUPS = ("loop", "recorder")  # groups without a part to choose
_ALWAYS_SHOWN = ("seed", "optimizer.learning_rate")
_CONFIG = "mlflow.expt."  # MLflow's pages hide tags that begin with `mlflow.`
_UNFOLDED = {"mlflow.runType": "evaluation"}
_TEXT_FILES = (LAYERS_FILE, "git.diff")
_TAG = "expt.described"


def describe(
    client: MlflowClient, stored: Any, run: Run, extend_deadline: Callable[[], None]
) -> None:
    """Writes the description of a run, without secrets, unless the store already has all of it.

    Args:
        client: A client of the store.
        stored: The run, as the store returned it.
        run: The run to describe.
        extend_deadline: Called before each request.
    """
    values = {key: str(value) for key, value in redacted_values(dict(run.params)).items()}
    params = {key: values[key][:_PARAM_LENGTH] for key in _shown(run)}
    searched = {f"{_CONFIG}{key}": value[:_TAG_LENGTH] for key, value in values.items()}
    tags, texts = redacted_values(_tags(run)) | searched, _texts(run)
    described = digest([params, tags, texts])
    if stored.data.tags.get(_TAG) == described:
        return
    run_id, known = stored.info.run_id, stored.data.params
    new = [Param(key, value) for key, value in params.items() if key not in known]
    for start in range(0, len(new), _A_REQUEST):
        extend_deadline()
        client.log_batch(run_id, params=new[start : start + _A_REQUEST])
    for name, text in texts.items():
        extend_deadline()
        client.log_text(run_id, text, name)
    extend_deadline()
    client.log_inputs(run_id, datasets=[_dataset(run.record.data)])
    # MLflow's params can't be changed, so the new value of a resumed run becomes a tag.
    changed = {f"resumed.{k}": v for k, v in values.items() if k in known and differs(known[k], v)}
    # The tag `_TAG` is written last: if it is there, the description is complete.
    written = [RunTag(key, value) for key, value in {**tags, **changed, _TAG: described}.items()]
    for start in range(0, len(written), _A_REQUEST):
        extend_deadline()
        client.log_batch(run_id, tags=written[start : start + _A_REQUEST])


def differs(stored: str, value: str) -> bool:
    """Whether a param in a store is another value, rather than the same one cut to its limit."""
    return stored != value[:_PARAM_LENGTH]


def digest(values: Any) -> str:
    """Returns the SHA-256 hash of values that JSON can represent, in hexadecimal."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _shown(run: Run) -> list[str]:
    """Returns the keys of the params: options of groups, and values that are set or that vary.

    MLflow's pages show all params of a run beside each image, so they must be few. The other
    values are tags, which can be searched for.
    """
    distinctive = run.record.distinctive
    if distinctive is None:  # a run of an earlier version
        return list(run.params)
    options = [group for group in run.record.choices if group not in _PLAIN_GROUPS]
    keys = dict.fromkeys([*options, *distinctive, *_ALWAYS_SHOWN])
    return [key for key in keys if key in run.params]


def _texts(run: Run) -> dict[str, str]:
    config = redacted_values(dict(run.config))
    texts = {"config.yaml": yaml.safe_dump(config, sort_keys=False)}
    for name in _TEXT_FILES:
        file = run.directory / name
        if file.is_file():
            texts[name] = redacted(file.read_text(encoding="utf-8", errors="replace"))
    return texts


def _tags(run: Run) -> dict[str, str]:
    record = run.record
    git = record.git or GitRecord()
    tags = {
        "run_directory": str(run.directory.absolute()),
        "run_hash": record.run_hash,
        "variant_hash": record.variant_hash,
        "variant": record.sweep and record.sweep.variant,
        "seed": record.seed,
        "task": record.data.task,
        "parameters": record.parameters,
        "mlflow.source.git.commit": git.commit,
        "git.dirty": git.dirty,
        "code": record.code and record.code.hash,
        "resumed.code": _code_changes(record),
        **{f"version.{name}": version for name, version in record.versions.items()},
        # MLflow's list of runs unfolds those of this type below their parent when it opens, so
        # that the list and its charts show a sweep's jobs and not only the sweep.
        **(_UNFOLDED if record.sweep else {}),
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def _code_changes(record: RunRecord) -> str | None:
    """Returns the steps from which a run continued with changed code, and the changed modules."""
    changes = [
        f"from step {entry.step}: {', '.join(entry.code.changed) or 'unknown'}"
        for entry in record.resumed
        if entry.code
    ]
    return "; ".join(changes) or None


def _dataset(data: DataRecord) -> DatasetInput:
    dataset = Dataset(
        name=data.name,
        digest=data.fingerprint,
        source_type="code",
        source=yaml.safe_dump({"expt": data.name}),
        profile=yaml.safe_dump(data.examples),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
