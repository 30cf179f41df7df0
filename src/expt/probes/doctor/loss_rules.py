"""Rules about the loss curves: divergence, oscillation, and how far training has come.

They read columns that every run records, so they cost nothing during training; only
`beyond_stability` needs the probe `curvature`.
"""

from collections.abc import Iterator

import numpy as np

from expt.probes.doctor.facts import Facts
from expt.probes.doctor.findings import Finding
from expt.probes.doctor.series import Series

_BENGIO = "Y. Bengio, arXiv:1206.5533, section 3.1.1"
_PRECHELT = "L. Prechelt, Early Stopping - But When?, 1998"
_LEWKOWYCZ = "A. Lewkowycz et al., arXiv:2003.02218"
_KARPATHY = "A. Karpathy, A Recipe for Training Neural Networks, 2019"

# The minimum length of a run that is judged by its curves.
_FEWEST_STEPS, _FEWEST_EPOCHS, _FEWEST_EVALUATIONS = 100, 3, 8
_WINDOWS = 10  # into which a curve is divided, so that batches average out
# Ratios to the first loss, or to the loss of an untrained model if that is larger.
_RISE = 2.0  # of the mean of a window
_LEAP = 3.0  # of the loss of a single step
_SWING = 0.1  # standard deviation of window means over the loss of an untrained model
_STILL_CHANCE = 0.97  # share of the loss of the best constant prediction
_LOSS_OVER_BEST = 1.2  # the generalization loss of Prechelt, as a ratio
_LEAST_RISE = 0.05  # of the validation loss, over the loss of an untrained model
_LEAST_FALL = 0.05  # of the validation loss, over the loss of an untrained model
_STILL_FALLING = 0.05  # share of the total fall that the last quarter of the evaluations brought
_BEYOND = 4.0  # learning rate times eigenvalue; above 2, steps diverge or reach a flatter region


def non_finite_loss(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if a loss became NaN or infinite."""
    for name, series in facts.columns.items():
        is_loss = name == "train/loss" or (name.startswith("train/") and name.endswith("_loss"))
        if is_loss and len(series) and not np.isfinite(series.values[-1]):
            finite = series.finite().values
            yield Finding(
                rule="non_finite_loss",
                message=f"{name} became {series.values[-1]} with optimizer.learning_rate="
                f"{facts.learning_rate:g}",
                step=int(series.steps[-1]),
                number=float(finite[-1]) if len(finite) else 0.0,
                remedy=facts.slower(),
                source=_BENGIO,
            )


def unstable_loss(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the training loss rises far above its start, or swings to the end."""
    loss = facts.column("train/loss")
    if len(loss) < _FEWEST_STEPS:
        return
    means = loss.windows(2 * _WINDOWS)
    scale = facts.first_loss
    start = max(float(loss.values[0]), scale)
    if scale <= 0:
        return
    worst = int(means.values.argmax())
    late, highest = means.values[_WINDOWS:], int(loss.values.argmax())
    turns = int((np.diff(np.sign(np.diff(late))) != 0).sum())
    step = int(means.steps[worst])
    if means.values[worst] > _RISE * start:
        message = f"train/loss rises from at most {start:.3g} to {means.values[worst]:.3g}"
        number = float(means.values[worst] / start)
    elif loss.values[highest] > _LEAP * start:
        message = f"train/loss jumps from at most {start:.3g} to {loss.values[highest]:.3g}"
        number, step = float(loss.values[highest] / start), int(loss.steps[highest])
    elif late.std() > _SWING * scale and turns >= len(late) // 3:
        step = int(means.steps[_WINDOWS + late.argmax()])
        message = f"train/loss swings between {late.min():.3g} and {late.max():.3g} to the end"
        number = float(late.std() / scale)
    else:
        return
    yield Finding(
        rule="unstable_loss",
        message=f"{message} (optimizer.learning_rate={facts.learning_rate:g})",
        step=step,
        number=number,
        remedy=facts.slower(),
        source=_BENGIO,
    )


def beyond_stability(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if gradient descent steps are longer than the curvature allows.

    Without momentum, steps along an eigenvector of the Hessian with eigenvalue λ diverge if the
    learning rate exceeds 2 / λ. Between 2 / λ and 4 / λ, networks often escape to a flatter region,
    and the eigenvalue of a trained network often stays near 2 / learning rate.
    """
    sharpness = facts.column("curvature/largest_eigenvalue")
    # `+optimizer.momentum=β` adds momentum. Then steps diverge only above 2 (1 + β) / λ (B. Polyak,
    # Introduction to Optimization, 1987, section 3.2).
    has_momentum = facts.params.get("optimizer.momentum", 0) != 0
    if facts.params.get("optimizer") != "sgd" or has_momentum or not len(sharpness):
        return
    # The largest of the run, not the last: after the loss has jumped, the weights may be in a flat
    # region with eigenvalues near 0.
    place = int(sharpness.values.argmax())
    largest = float(sharpness.values[place])
    if largest * facts.learning_rate <= _BEYOND:
        return
    yield Finding(
        rule="beyond_stability",
        message=f"the largest Hessian eigenvalue is {largest:.3g}, so that gradient descent is "
        f"stable up to a learning rate of {2 / largest:.2g}; "
        f"optimizer.learning_rate is {facts.learning_rate:g}",
        step=int(sharpness.steps[place]),
        number=largest * facts.learning_rate,
        remedy=facts.override("optimizer.learning_rate", f"{1 / largest:.1g}"),
        source=_LEWKOWYCZ,
    )


def not_learning(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the training loss is still that of a constant prediction."""
    loss, constant = facts.column("train/loss"), facts.constant_losses
    if constant is None or constant.train == 0 or not is_long(facts, loss):
        return
    chance = constant.train
    last = loss.windows(_WINDOWS)
    if last.values[-1] > _STILL_CHANCE * chance:
        yield Finding(
            rule="not_learning",
            message=f"the model has learned nothing: train/loss is {last.values[-1]:.3g}, that of "
            f"the best constant prediction {chance:.3g}",
            step=int(last.steps[-1]),
            number=float(last.values[-1] / chance),
            remedy=None if facts.layers("gradient_norm") else "probe=[gradients,activations]",
            source=_KARPATHY,
        )


def not_converged(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the validation loss still falls fast at the end of training."""
    loss = facts.column("val/loss")
    if len(loss) < _FEWEST_EVALUATIONS or not is_long(facts, facts.column("train/loss")):
        return
    quarters = loss.windows(4)
    last = loss.windows(_FEWEST_EVALUATIONS)
    total_fall = max(float(loss.values[0]), facts.first_loss) - float(loss.values.min())
    fall = float(quarters.values[2] - quarters.values[3])
    is_falling = last.values[-1] < last.values[-2] < last.values[-3]
    # A model that has not begun to learn is reported by `not_learning`.
    has_begun = total_fall > _LEAST_FALL * facts.first_loss
    if is_falling and has_begun and fall > _STILL_FALLING * total_fall:
        key = "loop.steps" if facts.params.get("loop.steps") else "loop.epochs"
        length = facts.params.get(key)
        yield Finding(
            rule="not_converged",
            message=f"val/loss still falls at the end: the last quarter of training brought "
            f"{fall / total_fall:.0%} of its total fall",
            step=int(loss.steps[-1]),
            number=fall / total_fall,
            remedy=facts.override(key, 3 * length) if isinstance(length, int) else None,
            source=_PRECHELT,
        )


def overfitting(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the validation loss rises while the training loss falls."""
    loss, train = facts.column("val/loss"), facts.column("train/loss")
    if len(loss) < _FEWEST_EVALUATIONS or not len(train):
        return
    best, of_train = int(loss.values.argmin()), train.between(loss.steps)
    last, last_train = float(loss.values[-3:].mean()), float(of_train[-3:].mean())
    lowest = float(loss.values[best])
    least = _LEAST_RISE * facts.first_loss
    rises = last > _LOSS_OVER_BEST * lowest and last - lowest > least
    # A training loss above the validation loss is not overfitting; dropout, which is off in
    # validation, can cause it.
    if rises and last_train < of_train[best] and last_train < last:
        yield Finding(
            rule="overfitting",
            message=f"val/loss rose from {lowest:.3g} at step {loss.steps[best]:.0f} to "
            f"{last:.3g}, while train/loss fell to {last_train:.3g}",
            step=int(loss.steps[best]),
            number=last / max(lowest, least),  # the lowest may be 0
            remedy=facts.override("model.dropout", 0.3)
            if facts.params.get("model.dropout") == 0
            else "loop.patience=5",
            source=_PRECHELT,
        )


def is_long(facts: Facts, loss: Series) -> bool:
    """Returns whether a run has enough steps and epochs to be judged by its training loss."""
    return len(loss) >= max(_FEWEST_STEPS, _FEWEST_EPOCHS * facts.steps_per_epoch)
