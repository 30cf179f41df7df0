"""Loading the data of jobs, and checking that it fits them; without TensorFlow."""

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from expt.config.checks import check, check_task
from expt.config.compose import Job
from expt.config.declarations import TARGETS_KEY, batches_per_step, metrics_for, task_of
from expt.config.instantiate import ACCUMULATION_KEY, call, part
from expt.config.sources import code_of
from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import shared_note
from expt.parts.data.resolution import check_resolution
from expt.parts.data.source import Source, Unsplit
from expt.train.backend import reserve_threads
from expt.train.class_weights import class_weights

_SENT = 2**26  # bytes of a data set that other processes are sent


class DataLoader:
    """Checks jobs and loads their data, once for all jobs that have the same. No TensorFlow."""

    def __init__(
        self, preparation: Mapping[str, Any] | None = None, *, compares_splits: bool = True
    ) -> None:
        """Makes a loader.

        Args:
            preparation: How a recorded run prepared its inputs; others are prepared likewise.
            compares_splits: Whether to note how many examples are in several splits.
        """
        self._preparation = preparation
        self._compares_splits = compares_splits
        self._loaded: dict[str, Dataset] = {}

    def __call__(self, job: Job) -> Dataset:
        """Returns the data of a job.

        Raises:
            UserError: The config is wrong, the data is missing or damaged, or they don't fit.
        """
        _check(job)
        batches = (job.config.loop.batches or 0) * batches_per_step(job.config)
        key = json.dumps([job.config.data, batches], sort_keys=True)
        if key not in self._loaded:
            source = self._source(job)
            dataset = _with_exact_inputs(call(source.load, "data").counted())
            note = shared_note(dataset) if self._compares_splits else None
            if note is not None:
                dataset = replace(dataset, notes=(*dataset.notes, note))
            self._loaded[key] = dataset.limited(batches) if batches else dataset
        dataset = self._loaded[key]
        _check_fit(job, dataset)
        _check_accumulation(job, dataset)
        return dataset

    def whole(self, job: Job, class_names: Sequence[str]) -> Dataset | None:
        """Returns the data of a job, unsplit; None if its source can't load it in this way.

        Args:
            job: The job.
            class_names: The classes that its model knows.

        Raises:
            UserError: As for a call.
        """
        _check(job)
        source = self._source(job)
        if not isinstance(source, Unsplit):
            return None
        dataset = _with_exact_inputs(call(partial(source.load_whole, class_names), "data"))
        _check_fit(job, dataset)
        return dataset

    def _source(self, job: Job) -> Source:
        make_source = part(job.config.data, "data")
        takes_it = "preparation" in inspect.signature(make_source.func).parameters
        supplied = {"preparation": self._preparation} if takes_it and self._preparation else {}
        source: Source = call(make_source, "data", **supplied)
        if source.task is not None:
            check_task(job, source.task)
        return source

    def shared(self) -> "DataLoader":
        """Returns a loader for other processes, with the data that is sent sooner than loaded."""
        loader = DataLoader(self._preparation)
        loader._loaded = {
            key: dataset
            for key, dataset in self._loaded.items()
            if sum(_size(split) for _, split in dataset.splits()) <= _SENT
        }
        return loader


def _check(job: Job) -> None:
    """Checks what can be checked without the data, and readies the process for it."""
    check(job)
    reserve_threads(job.config.loop.threads)
    code_of(job.config)  # reads the modules before the data source is imported


def _with_exact_inputs(dataset: Dataset) -> Dataset:
    """Returns data whose inputs are float32, unless a model standardises them first.

    Raises:
        UserError: float32 does not hold them.
    """
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
    """Bytes of a split's inputs; infinite if they stay on disk."""
    return split.inputs.nbytes if isinstance(split.inputs, np.ndarray) else math.inf


def _check_accumulation(job: Job, dataset: Dataset) -> None:
    """Checks that the train split has the examples of a step.

    Raises:
        UserError: It does not.
    """
    num_batches, available = batches_per_step(job.config), len(dataset.train)
    if num_batches * dataset.batch_size > available:
        raise UserError(
            f"optimizer.{ACCUMULATION_KEY}={num_batches}: a step takes that many batches of "
            f"data.batch_size={dataset.batch_size}, {num_batches * dataset.batch_size:,} examples; "
            f"data={dataset.name} has {available:,} training examples. Expected at most "
            f"{available // dataset.batch_size}, or a smaller data.batch_size."
        )


def _check_targets(job: Job, dataset: Dataset) -> None:
    """Checks the targets against the range that the loss declares, if it does.

    Raises:
        UserError: A target is outside.
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
        if isinstance(values, np.ndarray) and (values.min() < least or values.max() > most):
            loss = job.choices.get("loss", "loss")
            raise UserError(
                f"loss={loss} is for targets from {least:g} to {most:g}; those of the {name} split "
                f"of data={dataset.name} go from {values.min():.4g} to {values.max():.4g}."
            )


def _check_metrics(job: Job, dataset: Dataset) -> None:
    """Checks that metrics of one of two classes can be computed on the data.

    Raises:
        UserError: There are other classes.
    """
    for name, node in metrics_for(job, task_of(job, dataset.task)).items():
        num_classes = len(dataset.class_names)
        if node.get("average") == "binary" and num_classes != 2:
            raise UserError(
                f"metric.{name}.average=binary: data={dataset.name} has {num_classes} classes; "
                "expected two. macro, micro and weighted are for any number."
            )
        if node.get("positive") is not None and dataset.class_names:
            class_number(dataset, node["positive"], f"metric.{name}")


def class_number(dataset: Dataset, name: object, where: str) -> int:
    """Returns the number of a class that a config names.

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
    """Checks that float32 holds what training uses as it is, not standardised.

    Raises:
        UserError: It does not.
    """
    task = task_of(job, dataset.task)
    if task == "generation":
        check_resolution(dataset, "inputs")
    if task == "regression" and (dataset.target_scale is None or TARGETS_KEY in job.config.loss):
        check_resolution(dataset, "targets")
