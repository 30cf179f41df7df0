"""Loads the data of jobs and checks that it fits them, without importing TensorFlow.

Separate from the program, so that mistakes in the data are reported before TensorFlow starts.
"""

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from expt.config.checks import check, check_task
from expt.config.declarations import TARGETS_KEY, batches_per_step, metrics_for, task_of
from expt.config.instantiate import ACCUMULATION_KEY, bind_part, call_part
from expt.config.job import Job
from expt.config.sources import code_of
from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import duplicates_note
from expt.parts.data.resolution import check_resolution
from expt.parts.data.source import Source, WholeSource
from expt.train.backend import reserve_threads
from expt.train.class_weights import class_weights

_MOST_SHARED_BYTES = 2**26  # of a data set; larger ones are loaded by each process itself


class DataLoader:
    """Checks jobs and loads their data, once for all jobs with the same data.

    Args:
        preparation: The recorded preparation of a run's inputs, which is then applied to the
            loaded data; None to prepare the data as the config says.
        compares_splits: Whether to note how many examples occur in several splits.
    """

    def __init__(
        self, preparation: Mapping[str, Any] | None = None, *, compares_splits: bool = True
    ) -> None:
        self._preparation = preparation
        self._compares_splits = compares_splits
        self._loaded: dict[str, Dataset] = {}

    def __call__(self, job: Job) -> Dataset:
        """Returns the data set of a job.

        Raises:
            UserError: The config is invalid, the data is missing or damaged, or the data does not
                fit the config.
        """
        _check(job)
        batches = (job.config.loop.batches or 0) * batches_per_step(job.config)
        key = json.dumps([job.config.data, batches], sort_keys=True)
        if key not in self._loaded:
            source = self._source(job)
            dataset = _with_exact_inputs(_load(job, source.load).without_zero_weights())
            note = duplicates_note(dataset) if self._compares_splits else None
            if note is not None:
                dataset = replace(dataset, notes=(*dataset.notes, note))
            self._loaded[key] = dataset.limited(batches) if batches else dataset
        # For each job, also if its data was loaded before: the loss and metrics may be others.
        dataset = self._loaded[key]
        _check_fit(job, dataset)
        _check_accumulation(job, dataset)
        return dataset

    def whole(self, job: Job, class_names: Sequence[str]) -> Dataset | None:
        """Returns the data of a job without splitting it; None if its source does not support this.

        Args:
            job: The job.
            class_names: The class names of the model.

        Raises:
            UserError: As for a call of the loader.
        """
        _check(job)
        source = self._source(job)
        if not isinstance(source, WholeSource):
            return None
        dataset = _with_exact_inputs(_load(job, partial(source.load_whole, class_names)))
        _check_fit(job, dataset)
        return dataset

    def _source(self, job: Job) -> Source:
        make_source = bind_part(job.config.data, "data")
        # Sources without the argument, such as a user's own, prepare their inputs in one way only.
        accepts_preparation = "preparation" in inspect.signature(make_source.func).parameters
        supplied = (
            {"preparation": self._preparation} if accepts_preparation and self._preparation else {}
        )
        source: Source = call_part(make_source, "data", **supplied)
        lacking = [name for name in ("task", "load") if not hasattr(source, name)]
        if lacking:
            raise UserError(
                f"data: {job.config.data['_target_']} has no {' and no '.join(lacking)}; expected "
                "an object with `task` and `load() -> Dataset`."
            )
        # Before loading, if the source knows its task: loading may take long.
        if source.task is not None:
            check_task(job, source.task)
        return source

    def shared(self) -> "DataLoader":
        """Returns a loader to send to other processes, with the data sets that are small."""
        # A small data set is sent faster than a worker would load it again.
        loader = DataLoader(self._preparation)
        loader._loaded = {
            key: dataset
            for key, dataset in self._loaded.items()
            if sum(_size(split) for _, split in dataset.splits()) <= _MOST_SHARED_BYTES
        }
        return loader


def _load(job: Job, load: Callable[[], Dataset]) -> Dataset:
    """Calls a method of a data source.

    Raises:
        UserError: It can't load the data, or did not return a data set.
    """

    def with_key() -> Dataset:
        try:
            return load()
        except OSError as error:
            # The message of a missing file has no key; built-in sources check their files.
            for key, value in job.config.data.items():
                if isinstance(value, str) and value and str(error.filename).endswith(value):
                    reason = f"{error.strerror}: {error.filename}"
                    raise UserError(f"data.{key}={value}: {reason}") from error
            raise

    dataset = call_part(with_key, "data")
    if not isinstance(dataset, Dataset):
        kind = "None" if dataset is None else f"a value of the type {type(dataset).__name__}"
        raise UserError(
            f"data: load() of {job.config.data['_target_']} returned {kind}; expected a Dataset of "
            "expt.parts.data.dataset."
        )
    return dataset


def _check(job: Job) -> None:
    """Checks a job without its data, and prepares the process for loading the data."""
    check(job)
    reserve_threads(job.config.loop.threads)
    # Reads the modules before the data source is imported, so that the hash is that of the code
    # which then runs, even if a file is edited in between.
    code_of(job.config)


def _with_exact_inputs(dataset: Dataset) -> Dataset:
    """Returns a data set with float32 inputs, unless its model standardizes them.

    Raises:
        UserError: The precision of float32 is too low for the inputs.
    """
    # Standardized by the model in float64, since values with a large mean lose digits in float32.
    if dataset.input_scale is not None:
        return dataset
    check_resolution(dataset, "inputs")
    return dataset.with_float32_inputs()


def _check_fit(job: Job, dataset: Dataset) -> None:
    check_task(job, dataset.task)
    _check_targets(job, dataset)
    _check_metrics(job, dataset)
    class_weights(job, dataset)
    _check_resolution(job, dataset)


def _size(split: Split) -> float:
    """Returns the size of a split's inputs in bytes; infinity if they are streamed."""
    return split.inputs.nbytes if isinstance(split.inputs, np.ndarray) else math.inf


def _check_accumulation(job: Job, dataset: Dataset) -> None:
    """Checks that the train split has enough examples for a step.

    Raises:
        UserError: It has fewer.
    """
    num_batches, available = batches_per_step(job.config), len(dataset.train)
    if num_batches * dataset.batch_size > available:
        raise UserError(
            f"optimizer.{ACCUMULATION_KEY}={num_batches}: a step needs that many batches of "
            f"data.batch_size={dataset.batch_size}, {num_batches * dataset.batch_size:,} examples; "
            f"data={dataset.name} has {available:,} training examples. Expected at most "
            f"{available // dataset.batch_size}, or a smaller data.batch_size."
        )


def _check_targets(job: Job, dataset: Dataset) -> None:
    """Checks that the targets are within the range that the loss declares, if it declares one.

    Raises:
        UserError: A target is outside of the range.
    """
    declared, task = job.config.loss.get(TARGETS_KEY), task_of(job, dataset.task)
    if declared is None or task not in ("regression", "reconstruction"):
        return
    least, most = (
        bound if bound is not None else float(sign + "inf")
        for bound, sign in zip(declared, "-+", strict=True)
    )
    for name, split in dataset.splits():
        values = split.targets if task == "regression" else split.inputs
        # Streamed inputs are not checked, which would mean reading all of them.
        if isinstance(values, np.ndarray) and (values.min() < least or values.max() > most):
            loss = job.choices.get("loss", "loss")
            raise UserError(
                f"loss={loss} needs targets from {least:g} to {most:g}; those of the {name} split "
                f"of data={dataset.name} range from {values.min():.4g} to {values.max():.4g}."
            )


def _check_metrics(job: Job, dataset: Dataset) -> None:
    """Checks that the metrics fit the classes of the data.

    Raises:
        UserError: A metric needs two classes, or names a class that does not exist.
    """
    for name, node in metrics_for(job, task_of(job, dataset.task)).items():
        num_classes = len(dataset.class_names)
        if node.get("average") == "binary" and num_classes != 2:
            raise UserError(
                f"metric.{name}.average=binary: data={dataset.name} has {num_classes} classes; "
                "expected two. For any number of classes: macro, micro or weighted."
            )
        if node.get("positive") is not None and dataset.class_names:
            class_number(dataset, node["positive"], f"metric.{name}")


def class_number(dataset: Dataset, name: object, where: str) -> int:
    """Returns the label of a class that a config names.

    Args:
        dataset: The data set.
        name: The name of the class.
        where: The key of the part that names it, such as `metric.f1`, for messages.

    Raises:
        UserError: There is no such class.
    """
    if str(name) not in dataset.class_names:
        raise UserError(
            f"{where}.positive={name}: data={dataset.name} has no class of that name. "
            f"{hint(str(name), dataset.class_names)}"
        )
    return dataset.class_names.index(str(name))


def _check_resolution(job: Job, dataset: Dataset) -> None:
    """Checks that float32 is precise enough for values that are used without standardization.

    Raises:
        UserError: It is not.
    """
    task = task_of(job, dataset.task)
    if task == "generation":
        check_resolution(dataset, "inputs")
    if task == "regression" and (dataset.target_scale is None or TARGETS_KEY in job.config.loss):
        check_resolution(dataset, "targets")
