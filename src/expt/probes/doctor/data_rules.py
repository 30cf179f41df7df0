"""Rules about the data and the predictions: scale, labels, classes.

They read facts about the data set and the predictions, and columns that every run records.
`shuffled_labels` also reads the columns of probes, if there are any. No rule needs extra work
during training.
"""

from collections.abc import Iterator

import numpy as np

from expt.probes.doctor.facts import Facts
from expt.probes.doctor.findings import Finding
from expt.probes.doctor.layer_rules import (
    dead_units,
    exploding_gradients,
    no_gradient,
    vanishing_gradients,
)
from expt.probes.doctor.loss_rules import is_long, not_converged, not_learning, unstable_loss

_KARPATHY = "A. Karpathy, A Recipe for Training Neural Networks, 2019"
_LECUN = "Y. LeCun et al., Efficient BackProp, 1998, section 4.3"
_ZHANG = "C. Zhang et al., arXiv:1611.03530"
_HE = "H. He and E. Garcia, Learning from Imbalanced Data, 2009"

_FAR_FROM_CHANCE = {"classification": 2.5, "regression": 10.0}  # times the untrained loss
# Above the untrained loss, in absolute terms: with two classes, a first loss of 2 log 2 is within
# the noise.
_LEAST_EXCESS = 1.5
_SMALLEST_INPUT, _LARGEST_INPUT = 0.01, 10.0  # root mean square of a feature
_FITTED = 0.66  # share of the chance loss; below it, the train split has been learned
_NO_BETTER = 0.95  # share of the chance loss
_AT_CHANCE = 1.05  # share of the chance loss; above it, training itself goes wrong
_BALANCED = 0.9  # loss of the best constant prediction over that of equal probabilities
_DEVIATIONS = 3.0  # standard deviations of the accuracy of constant predictions
_FEWEST_EVALUATIONS = 5
_FEWEST_OF_CLASS = 3  # validation examples
_USUAL_UPDATES = (1e-4, 1e-1)  # update ratios of a model that can learn
_RARE = 0.5  # share of an average class


def initial_loss(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the first loss is far above that of a model that knows nothing."""
    loss, constant = facts.column("train/loss"), facts.constant_losses
    if constant is None or constant.untrained == 0 or not len(loss) or loss.steps[0] != 1:
        return
    first, untrained = float(loss.values[0]), constant.untrained
    least = max(_FAR_FROM_CHANCE[facts.task] * untrained, untrained + _LEAST_EXCESS)
    if first > least:
        is_raw = facts.params.get("data.standardize_targets") is False
        yield Finding(
            rule="initial_loss",
            message=f"the first train/loss is {first:.3g}; a model that knows nothing has "
            f"{untrained:.3g}",
            step=1,
            number=first / untrained,
            remedy="data.standardize_targets=true" if is_raw else _standardize(facts),
            source=_KARPATHY,
        )


def unscaled_inputs(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the scale of the inputs is far from 1."""
    size = facts.input_size
    if size is None or _SMALLEST_INPUT <= size <= _LARGEST_INPUT:
        return
    kind = "large" if size > 1 else "small"
    yield Finding(
        rule="unscaled_inputs",
        message=f"the inputs are {kind}: the root mean square of the largest feature is {size:.3g}",
        number=size,
        remedy=_standardize(facts),
        source=_LECUN,
    )


def constant_labels(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if all training examples have the same target."""
    if facts.classes is not None and np.count_nonzero(facts.classes.of_train) == 1:
        name = facts.classes.names[int(facts.classes.of_train.argmax())]
        message = f"all training examples have the class {name}"
    elif facts.target_deviation == 0:
        message = "all training examples have the same target"
    else:
        return
    yield Finding(
        rule="constant_labels", message=message, number=1.0, remedy=None, source=_KARPATHY
    )


def shuffled_labels(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the model fits the train split while the validation loss stays at chance.

    With the gradients probe, the fit is not required: updates of the usual size are enough, so that
    the fault is found before the model has memorized the labels.
    """
    loss, train = facts.column("val/loss"), facts.column("train/loss")
    constant = facts.constant_losses
    if constant is None or len(loss) < _FEWEST_EVALUATIONS or not is_long(facts, train):
        return
    lowest = float(loss.values.min())
    if not constant.validation or lowest < _NO_BETTER * constant.validation:
        return
    # Bad inputs, or a model that does not train at all, would explain the same curves.
    if _beats_constants(facts) or _has_other_fault(facts):
        return
    fitted = float(train.windows(5).values[-1])
    ratios = facts.column("update_ratio/all").values
    moves = len(ratios) > 0 and _USUAL_UPDATES[0] < np.median(ratios) < _USUAL_UPDATES[1]
    # With imbalanced classes, a constant prediction is already good, and an early gain over it is
    # too small to be seen.
    is_balanced = constant.train > _BALANCED * constant.untrained
    if fitted < _FITTED * constant.train:
        seen = f"train/loss falls to {fitted:.3g}"
    elif moves and is_balanced and fitted < _AT_CHANCE * constant.train:
        seen = "the weights move as usual"
    else:
        return
    yield Finding(
        rule="shuffled_labels",
        message=f"{seen}, but val/loss never falls below that of a constant prediction, "
        f"{constant.validation:.3g}: the labels may not belong to the inputs",
        step=int(loss.steps[loss.values.argmin()]),
        number=lowest / constant.validation,
        remedy=None,
        source=_ZHANG,
    )


def ignored_classes(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the last model never predicts some of the classes."""
    classes = facts.classes
    if classes is None or classes.predicted is None:
        return
    if not is_long(facts, facts.column("train/loss")):
        return
    ignored = np.flatnonzero(
        (classes.predicted == 0)
        & (classes.of_validation >= _FEWEST_OF_CLASS)
        & (classes.of_train > 0)
    )
    if not len(ignored):
        return
    count, total = int(classes.of_validation[ignored].sum()), int(classes.of_validation.sum())
    more = f" and {len(ignored) - 1} other classes" if len(ignored) > 1 else ""
    average = classes.of_train.sum() / len(classes.names)
    is_rare = classes.of_train[ignored].min() < _RARE * average
    # What a model predicts before it has learned says nothing about the classes.
    if not is_rare and (any(not_learning(facts)) or any(not_converged(facts))):
        return
    yield Finding(
        rule="ignored_classes",
        message=f"the model never predicts class {classes.names[int(ignored[0])]}{more}, which "
        f"{count} of {total} validation examples have",
        number=float(len(ignored)),
        remedy=facts.override("loss.class_weights", "balanced") if is_rare else None,
        source=_HE,
    )


def _standardize(facts: Facts) -> str | None:
    is_off = not facts.params.get("data.standardize")
    return facts.override("data.standardize", "true") if is_off else None


def _has_other_fault(facts: Facts) -> bool:
    rules = (
        *(unscaled_inputs, initial_loss, unstable_loss, exploding_gradients),
        *(vanishing_gradients, no_gradient, dead_units),
    )
    return any(True for rule in rules for _ in rule(facts))


def _beats_constants(facts: Facts) -> bool:
    """Returns whether the validation accuracy is clearly above that of the best constant class."""
    accuracy, classes = facts.column("val/accuracy"), facts.classes
    if classes is None or not len(accuracy):
        return False
    total = classes.of_validation.sum()
    share = classes.of_validation.max() / total
    deviation = np.sqrt(share * (1 - share) / total)
    return bool(accuracy.values.max() > share + _DEVIATIONS * deviation)
