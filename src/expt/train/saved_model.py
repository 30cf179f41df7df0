"""What the commands that use a finished run share: its job, its data, its model."""

import importlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expt.config.compose import Job
from expt.config.frozen import read_frozen, with_data
from expt.config.instantiate import check_target
from expt.config.outputs import ModelOutputs, model_outputs
from expt.config.saved_layers import check_saved_layers
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.preparation import ArrayPreparation
from expt.parts.data.scale import Scale
from expt.runs.find import FoundRun
from expt.runs.record_parts import ScaleOfData
from expt.runs.recorded_data import data_change, feature_names, names_listed
from expt.train.class_weights import CLASS_WEIGHTS
from expt.train.data_loading import DataLoader


@dataclass(frozen=True)
class LoadedData:
    """Data for a recorded run.

    Attributes:
        job: The run's, with the config of this data.
        dataset: The data, with the scales of the run's training.
        is_own: Whether it is the data that the run was trained on, unchanged.
        is_whole: Whether it could not be split, so that each of its splits is the whole.
    """

    job: Job
    dataset: Dataset
    is_own: bool
    is_whole: bool = False


def load_data(
    run: FoundRun, overrides: Sequence[str], config_dir: str | None, split: str | None = None
) -> LoadedData:
    """Loads a run's data, or the data that the overrides name instead.

    Tables are encoded, and targets scaled, as they were for the run. Other data that can't be
    split, such as a single example, or without some of the classes, is loaded as it is if no split
    is asked for.

    Args:
        run: The run.
        overrides: `data=…`, `data.KEY=…`.
        config_dir: A `conf/` folder of the user's own.
        split: The split that is asked for by name, if any.

    Raises:
        UserError: The data is missing or damaged, or is not of the kind the model was made for.
    """
    trained = run.record.data
    job = with_data(read_frozen(run.directory, run.record.to_mapping()), overrides, config_dir)
    job = _with_recorded_weights(job, run)
    batches = job.config.loop.batches
    job = replace(job, config=job.config.with_values({"loop.batches": None}))
    same_source = job.config.data["_target_"] == trained.source
    load = DataLoader(trained.preparation if same_source else None, compares_splits=False)
    is_whole = False
    try:
        dataset = load(job)
        _check_fit(run, dataset)
    except UserError as error:
        dataset = _load_whole(run, load, job, error)
        if split not in (None, "all"):
            raise UserError(f"{error} Without a split: split=all") from error
        is_whole = True
    forms = [dataset, *([dataset.limited(batches)] if batches else [])]
    return LoadedData(
        job,
        replace(
            dataset,
            input_scale=_parse_scale(trained.input_scale),
            target_scale=_parse_scale(trained.target_scale),
        ),
        is_own=any(data_change(trained, form) is None for form in forms),
        is_whole=is_whole,
    )


def _with_recorded_weights(job: Job, run: FoundRun) -> Job:
    """Returns a job with the class weights of the run's training, not those of the data."""
    weights = run.record.class_weights
    if weights is None:
        return job
    return replace(job, config=job.config.with_values({f"loss.{CLASS_WEIGHTS}": weights}))


def _load_whole(run: FoundRun, load: DataLoader, job: Job, error: UserError) -> Dataset:
    """Loads data that can't be loaded in splits, unless that is not why it can't be loaded."""
    dataset = load.whole(job, run.record.data.class_names)
    if dataset is None:
        raise error
    _check_fit(run, dataset)
    return dataset


def _check_fit(run: FoundRun, dataset: Dataset) -> None:
    """Checks that data is of the kind that a run's model was made for.

    Raises:
        UserError: It is not.
    """
    trained = run.record.data
    if list(dataset.input_shape) != trained.input_shape:
        raise UserError(
            f"data={dataset.name}: its inputs have the shape {dataset.input_shape}; the model of "
            f"{run.directory.name} takes {tuple(trained.input_shape)}."
        )
    _check_levels(run, dataset)
    if list(dataset.class_names) != trained.class_names:
        raise UserError(
            f"data={dataset.name}: its classes are {names_listed(dataset.class_names)}; those of "
            f"the model of {run.directory.name} are {names_listed(trained.class_names)}."
        )
    known = feature_names(trained)
    if known and dataset.feature_names and list(known) != list(dataset.feature_names):
        raise UserError(
            f"data={dataset.name}: its features are {names_listed(dataset.feature_names)}; those "
            f"that the model of {run.directory.name} takes are {names_listed(known)}. Name its "
            "columns so, and bring them into this order."
        )


def _check_levels(run: FoundRun, dataset: Dataset) -> None:
    """Checks that pixels mean in other data what they meant in the training's.

    Raises:
        UserError: They were taken as they are in one and divided by their maximum in the other.
    """
    recorded, given = run.record.data.preparation, dataset.preparation
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


def recorded_outputs(run: FoundRun, job: Job) -> ModelOutputs:
    """Returns what a run's predictions are; of runs recorded before, what its loss declares."""
    recorded = run.record.model_outputs
    if recorded is None:
        return model_outputs(job.config.loss, run.record.data.task)
    return ModelOutputs(recorded.kind, recorded.link)


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
        target = getattr(job.config, group)["_target_"]
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
    data, shapes = run.record.data, {}
    for name in ("input", "output"):
        shape = getattr(model, f"{name}_shape", None)
        shapes[name] = list(shape[1:]) if isinstance(shape, tuple) else None
        recorded = getattr(run.record, f"model_{name}_shape")
        if recorded is not None and shapes[name] != recorded:
            raise UserError(
                f"{run.model_file} is of another run: its {name}s have the shape {shapes[name]}, "
                f"those of this run's model {recorded}."
            )
    if data.task == "classification" and shapes["output"] != [len(data.class_names)]:
        raise UserError(
            f"{run.directory / 'run.json'} is damaged: it names {len(data.class_names)} "
            f"classes; the model's outputs have the shape {shapes['output']}."
        )


def _parse_scale(recorded: ScaleOfData | None) -> Scale | None:
    return None if recorded is None else Scale.from_mapping(recorded.to_mapping())
