"""The examination of a run by the training doctor, at the end of training."""

import logging
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from expt.config.job import Job
from expt.config.params import make_params
from expt.parts.data.dataset import Dataset, Split
from expt.probes.doctor.chance import classification_loss, regression_loss, smooth
from expt.probes.doctor.facts import Classes, ConstantLosses, Facts
from expt.probes.doctor.findings import Finding
from expt.probes.doctor.rules import RULES
from expt.probes.doctor.series import read_series
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.run import Run, Status
from expt.train.class_weights import CLASS_WEIGHTS, class_weights
from expt.train.executors import Executor
from expt.train.objective import output_scale
from expt.train.program import Program

_log = logging.getLogger(__name__)
_EXAMPLES = 1024  # training examples whose inputs are measured; enough for an order of magnitude
_SCALING_LAYERS = (
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.Embedding,  # its inputs are row indices, whose magnitude has no meaning
)


def diagnose(executor: Executor, run: Run) -> list[Finding]:
    """Returns the doctor's findings on a run that has ended.

    Args:
        executor: The executor, after training.
        run: The run, whose journal is read once.
    """
    found: list[Finding] = []
    # The doctor only reads: no exception, whatever its type, may fail a trained run, and one rule
    # that fails must not silence the others.
    try:
        facts = make_facts(executor, run)
    except Exception:  # noqa: BLE001
        _log.warning("the training doctor failed", exc_info=True)
        return found
    for name, rule in RULES.items():
        try:
            found += rule(facts)
        except Exception:  # noqa: BLE001
            _log.warning("the rule %s of the training doctor failed", name, exc_info=True)
    return found


def make_facts(executor: Executor, run: Run) -> Facts:
    """Collects the facts about a run that the rules read.

    Args:
        executor: The executor, after training.
        run: The run, with its final status.
    """
    program = executor.program
    targets = program.dataset.train.targets
    return Facts(
        params=make_params(program.job),
        task=program.task,
        steps_per_epoch=program.timeline.steps_per_epoch,
        input_size=_input_size(program),
        target_deviation=float(targets.std()) if program.task == "regression" else None,
        constant_losses=_constant_losses(program),
        classes=_classes(executor, run.record.status) if program.task == "classification" else None,
        columns=read_series(read_journal(run.directory / FILE_NAME)),
    )


def _input_size(program: Program) -> float | None:
    """Returns the largest root mean square of an input feature.

    Returns:
        None if the data set or a layer of the network scales the inputs.
    """
    dataset = program.dataset
    # The last network is the one that sees the data: the only one, or the discriminator of a pair.
    if dataset.input_scale is not None or _scales(program.learner.networks[-1]):
        return None
    inputs = dataset.train.first(_EXAMPLES).astype(np.float64)
    return float(np.sqrt(np.square(inputs).mean(axis=0).max()))


def _scales(network: keras.Model) -> bool:
    """Returns whether a layer that changes the scale comes before the first trained layer."""
    for layer in _flat(network.layers):
        if isinstance(layer, _SCALING_LAYERS):
            return True
        if layer.trainable_variables:
            return False
    return False


def _flat(layers: Sequence[keras.layers.Layer]) -> Iterator[keras.layers.Layer]:
    for layer in layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer.layers)
        else:
            yield layer


def _constant_losses(program: Program) -> ConstantLosses | None:
    """Returns the losses of constant predictions; None if they are not known."""
    job, dataset, loss = program.job, program.dataset, program.job.config.loss
    # Penalties are added to the loss, and change as weights grow.
    if any(network.losses for network in program.learner.networks):
        return None
    # In the order of the fields of ConstantLosses. A formula is known for all three or for none.
    found: list[float | None] = []
    if program.task == "classification":
        train, validation = (
            _class_shares(job, dataset, split) for split in (dataset.train, dataset.validation)
        )
        best, equal = smooth(loss, train), np.full(len(train), 1 / len(train))
        pairs = ((equal, train), (best, train), (best, validation))
        found = [classification_loss(loss, *pair) for pair in pairs]
    elif program.task == "regression":
        scale = output_scale(job, dataset, program.task)
        train, validation = (
            split.targets if scale is None else (split.targets - scale.mean) / scale.deviation
            for split in (dataset.train, dataset.validation)
        )
        found = [regression_loss(loss, train, actual) for actual in (train, train, validation)]
    known = [value for value in found if value is not None]
    return ConstantLosses(*known) if known else None


def _class_shares(job: Job, dataset: Dataset, split: Split) -> NDArray[np.float64]:
    """Returns the share of each class in the loss of a split, shape [classes]."""
    count = len(dataset.class_names)
    sums = np.bincount(split.targets, weights=split.weights, minlength=count).astype(np.float64)
    # `class_weights` returns only the balanced ones; other weights are a list in the config.
    of_classes = class_weights(job, dataset) or job.config.loss.get(CLASS_WEIGHTS)
    sums *= np.ones(count) if of_classes is None else np.asarray(of_classes, np.float64)
    shares: NDArray[np.float64] = sums / sums.sum()
    return shares


def _classes(executor: Executor, status: Status) -> Classes:
    dataset, count = executor.program.dataset, len(executor.program.dataset.class_names)
    predicted = None
    # The evaluation of the last step, which the executor has kept: the networks themselves have the
    # best weights again. The last model of a failed run may be broken, and is not evaluated.
    if status is Status.FINISHED:
        predictions = executor.evaluate_validation().predictions
        predicted = np.bincount(predictions.argmax(axis=-1), minlength=count)
    return Classes(
        names=dataset.class_names,
        of_train=np.bincount(dataset.train.targets, minlength=count),
        of_validation=np.bincount(dataset.validation.targets, minlength=count),
        predicted=predicted,
    )
