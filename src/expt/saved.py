"""What the commands that use a finished run share: its job, its data, its model."""

import importlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from expt.assembly import DataLoader
from expt.config.compose import Job
from expt.config.frozen import read_frozen, with_data
from expt.config.instantiate import check_target
from expt.config.outputs import ModelOutputs, model_outputs
from expt.config.saved_layers import check_saved_layers
from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.preparation import ArrayPreparation
from expt.parts.data.scale import Scale
from expt.runs.find import FoundRun


def load_data(
    run: FoundRun, overrides: Sequence[str], config_dir: str | None
) -> tuple[Job, Dataset]:
    """Returns a run's job and its data, or the data that the overrides name instead.

    Tables are encoded, and targets scaled, as they were for the run.

    Raises:
        UserError: The data is missing or damaged, or is not of the kind the model was made for.
    """
    trained = run.record["data"]
    job = with_data(read_frozen(run.directory, run.record), overrides, config_dir)
    loop = {**job.config["loop"], "batches": None}
    job = replace(job, config={**job.config, "loop": loop})
    same_source = job.config["data"]["_target_"] == trained["source"]
    dataset = DataLoader(trained.get("preparation") if same_source else None)(job)
    if list(dataset.input_shape) != trained["input_shape"]:
        raise UserError(
            f"data={dataset.name}: its inputs have the shape {dataset.input_shape}; the model of "
            f"{run.directory.name} takes {tuple(trained['input_shape'])}."
        )
    _check_levels(run, dataset)
    if list(dataset.class_names) != trained["class_names"]:
        raise UserError(
            f"data={dataset.name}: its classes are {_listed(dataset.class_names)}; the model of "
            f"{run.directory.name} tells {_listed(trained['class_names'])}."
        )
    return job, replace(
        dataset,
        input_scale=_parse_scale(trained.get("input_scale")),
        target_scale=_parse_scale(trained.get("target_scale")),
    )


def _check_levels(run: FoundRun, dataset: Dataset) -> None:
    """Checks that pixels mean in other data what they meant in the training's.

    Raises:
        UserError: They were taken as they are in one and divided by their maximum in the other.
    """
    recorded, given = run.record["data"].get("preparation"), dataset.preparation
    if not dataset.has_images or recorded is None or given is None:
        return
    if recorded == given or all(one.get("divisor") == 1 for one in (recorded, given)):
        return
    are_scaled = [_are_scaled(preparation) for preparation in (recorded, given)]
    if are_scaled[0] != are_scaled[1]:
        kinds = {True: "pixels from 0 to 1", False: "arrays as they are"}
        raise UserError(
            f"data={dataset.name}: its inputs are {kinds[are_scaled[1]]}; the model of "
            f"{run.directory.name} was trained on {kinds[are_scaled[0]]}."
        )


def _are_scaled(preparation: Mapping[str, Any]) -> bool:
    if preparation.get("kind") != "array":
        return True
    return ArrayPreparation.from_mapping(preparation).pixel_scale() == 1


def choose_split(dataset: Dataset, name: str) -> Split:
    """Returns a split by the name it has in metrics, or with `all` the three as one.

    Raises:
        UserError: There is no such split.
    """
    splits = dict(dataset.splits())
    if name == "all":
        return joined(list(splits.values()))
    if name not in splits:
        raise UserError(f"split={name}: there is no such split. {hint(name, [*splits, 'all'])}")
    return splits[name]


def joined(splits: Sequence[Split]) -> Split:
    """Returns splits as one, in memory."""
    inputs = [split.first(len(split)) for split in splits]
    weights = [split.weights for split in splits if split.weights is not None]
    return Split(
        np.concatenate(inputs),
        np.concatenate([split.targets for split in splits]),
        np.concatenate(weights) if len(weights) == len(splits) else None,
    )


def recorded_outputs(run: FoundRun, job: Job) -> ModelOutputs:
    """Returns what a run's predictions are; of runs recorded before, what its loss declares."""
    recorded = run.record.get("model_outputs")
    if recorded is None:
        return model_outputs(job.config["loss"], run.record["data"]["task"])
    return ModelOutputs(recorded["kind"], recorded["link"])


def load_predictor(file: Path, run: FoundRun, job: Job) -> Any:
    """Loads a run's saved model; imports TensorFlow. Its outputs are predictions.

    Older runs saved it without the link that makes predictions; it is added.

    Raises:
        UserError: The file is damaged, is not the run's, or has layers that are not allowed.
    """
    model = load_model(file, job)
    check_shapes(model, run)
    from expt.parts.models.links import has_link, with_link

    return model if has_link(model) else with_link(model, recorded_outputs(run, job).link)


def load_model(file: Path, job: Job) -> Any:
    """Loads a saved model; imports TensorFlow. No code is taken from the file.

    The modules that the job's model and activation come from are imported before, if they are
    allowed: layers of the user's own may be defined there.

    Raises:
        UserError: The file is damaged, or has layers that are not Keras' own nor allowed.
    """
    if not zipfile.is_zipfile(file):
        raise UserError(f"{file} can't be loaded: it is cut off, or no .keras file.")
    check_saved_layers(file)
    import keras

    for group in ("model", "act"):
        target = job.config[group]["_target_"]
        check_target(target, group)
        importlib.import_module(target.rpartition(".")[0])
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    # Keras lets through whatever its parsers raise.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file} can't be loaded: {reason}") from error


def check_shapes(model: Any, run: FoundRun) -> None:
    """Checks that a loaded model takes and gives what the run's record says of its model.

    Raises:
        UserError: It is of another run, or the record is damaged.
    """
    data, shapes = run.record["data"], {}
    for name in ("input", "output"):
        shape = getattr(model, f"{name}_shape", None)
        shapes[name] = list(shape[1:]) if isinstance(shape, tuple) else None
        recorded = run.record.get(f"model_{name}_shape")
        if recorded is not None and shapes[name] != recorded:
            raise UserError(
                f"{run.model_file} is of another run: its {name}s have the shape {shapes[name]}, "
                f"those of this run's model {recorded}."
            )
    if data["task"] == "classification" and shapes["output"] != [len(data["class_names"])]:
        raise UserError(
            f"{run.directory / 'run.json'} is damaged: it names {len(data['class_names'])} "
            f"classes; the model's outputs have the shape {shapes['output']}."
        )


def _parse_scale(mapping: Mapping[str, Any] | None) -> Scale | None:
    return None if mapping is None else Scale.from_mapping(mapping)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown}, … ({len(names)} in all)" if len(names) > 12 else shown or "none"
