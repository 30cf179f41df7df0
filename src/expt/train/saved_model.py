"""Loads the job, the data and the saved model of a finished run."""

import importlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expt.config.frozen import read_frozen, with_data
from expt.config.instantiate import check_target
from expt.config.job import Job
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
    """A data set for the model of a recorded run.

    Attributes:
        job: The job of the run, with the config of this data.
        dataset: The data set, with the scales of the run's training.
        is_own: Whether this is the data that the run was trained on, unchanged.
        is_whole: Whether the data could not be split. Each of its splits is then the whole.
    """

    job: Job
    dataset: Dataset
    is_own: bool
    is_whole: bool = False


def load_data(
    run: FoundRun, overrides: Sequence[str], config_dir: str | None, split: str | None = None
) -> LoadedData:
    """Loads a run's data, or the data that the overrides name instead.

    Inputs are prepared and targets are scaled in the same way as for the run. Data that can't be
    split, such as a single example, or data in which a class is missing, is loaded without
    splitting, unless `split` names a split.

    Args:
        run: The recorded run.
        overrides: Overrides of the data, `data=…` and `data.KEY=…`.
        config_dir: The user's own `conf/` folder, if there is one.
        split: The name of the requested split, if there is one.

    Raises:
        UserError: The data is missing or damaged, or does not fit the model.
    """
    trained = run.record.data
    job = with_data(read_frozen(run.directory, run.record.to_mapping()), overrides, config_dir)
    job = _with_recorded_weights(job, run)
    # All of the data, even if the run was limited to some batches.
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
            raise UserError(f"{error} To use all of the data: split=all") from error
        is_whole = True
    # The fingerprint of a run that was limited to some batches is that of the limited data.
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
    """Returns a job with the recorded class weights of the run."""
    # Balanced weights of other data would make its loss incomparable with that of the run.
    weights = run.record.class_weights
    if weights is None:
        return job
    return replace(job, config=job.config.with_values({f"loss.{CLASS_WEIGHTS}": weights}))


def _load_whole(run: FoundRun, load: DataLoader, job: Job, error: UserError) -> Dataset:
    """Loads data without splitting it, after loading it in splits has raised `error`.

    Raises:
        UserError: `error`, if the source does not support this; or the data does not fit.
    """
    dataset = load.whole(job, run.record.data.class_names)
    if dataset is None:
        raise error
    _check_fit(run, dataset)
    return dataset


def _check_fit(run: FoundRun, dataset: Dataset) -> None:
    """Checks that the inputs, classes and features of a data set are those of a run's model.

    Raises:
        UserError: They differ.
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
            f"that the model of {run.directory.name} takes are {names_listed(known)}. Rename and "
            "reorder the columns of the data."
        )


def _check_levels(run: FoundRun, dataset: Dataset) -> None:
    """Checks that the pixels of a data set have the same range as those of the training data.

    Raises:
        UserError: Only one of the two was divided by the maximum of a pixel.
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
    """Returns the kind of a run's predictions, and the link that makes them."""
    recorded = run.record.model_outputs
    # Runs of older versions did not record it; their losses declare it.
    if recorded is None:
        return model_outputs(job.config.loss, run.record.data.task)
    return ModelOutputs(recorded.kind, recorded.link)


def load_predictor(file: Path, run: FoundRun, job: Job) -> Any:
    """Loads the saved model of a run, with predictions as its outputs. Imports TensorFlow.

    Raises:
        UserError: The file is damaged or of another run, or has layers that are not allowed.
    """
    model = load_model(file, job)
    check_shapes(model, run)
    from expt.parts.models.links import has_link, with_link

    # Older versions saved the model without its link.
    return model if has_link(model) else with_link(model, recorded_outputs(run, job).link)


def load_model(file: Path, job: Job) -> Any:
    """Loads a saved model, without running any code from the file. Imports TensorFlow.

    Raises:
        UserError: The file is damaged, or has layers that are neither Keras' own nor allowed.
    """
    if not zipfile.is_zipfile(file):
        raise UserError(f"{file} can't be loaded: it is incomplete, or not a .keras file.")
    check_saved_layers(file)
    import keras

    # Users' own layers may be defined in these modules, whose import registers them with Keras.
    for group in ("model", "act"):
        target = getattr(job.config, group)["_target_"]
        check_target(target, group)
        importlib.import_module(target.rpartition(".")[0])
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    # Any exception: Keras does not wrap those of its parsers.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file} can't be loaded: {reason}") from error


def check_shapes(model: Any, run: FoundRun) -> None:
    """Checks that the shapes of a loaded model are those in the record of the run.

    Raises:
        UserError: The model is of another run, or the record is damaged.
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
