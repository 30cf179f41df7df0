"""Rules about single layers, which need the columns of the probes `gradients` and `activations`.

Only the size of the whole gradient, `train/grad_norm`, is recorded by every run.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from expt.probes.doctor.facts import ALL_LAYERS, Facts
from expt.probes.doctor.findings import Finding
from expt.probes.doctor.series import Series

_GLOROT = "X. Glorot and Y. Bengio, AISTATS 2010"
_PASCANU = "R. Pascanu et al., arXiv:1211.5063"
_LU = "L. Lu et al., arXiv:1903.06733"
_CS231N = "CS231n, Neural Networks Part 3, ratio of updates to weights"

SATURATING = ("sigmoid", "hard_sigmoid", "tanh", "softsign")
_WITH_ZERO_SLOPE = ("relu", "relu6")

_VANISHING = 0.02  # norm of a layer's gradient over that of the last layer
_EXPLODING = 1e3  # norm of the whole gradient
_DEAD, _SATURATED = 0.7, 0.5  # share of a layer
_SMALLEST_UPDATE, _LARGEST_UPDATE = 1e-5, 0.1  # about 1e-3 is usual
_FEWEST_LAYERS = 3


def vanishing_gradients(facts: Facts) -> Iterator[Finding]:
    """Yields a finding for the layer with the smallest gradient, if it is far below the last's."""
    norms = facts.layers("gradient_norm")
    # The layers of an adversarial pair are those of two networks, with a loss each, so their
    # gradients can't be compared.
    if len(norms) < _FEWEST_LAYERS or facts.task == "generation":
        return
    *others, last = norms
    ratios = {
        name: ratio for name in others if (ratio := _ratio(norms[name], norms[last])) is not None
    }
    if not ratios:
        return
    layer = min(ratios, key=lambda name: ratios[name])
    if ratios[layer] < _VANISHING:
        yield Finding(
            rule="vanishing_gradients",
            message=f"gradients vanish: the norm of {layer}'s is {ratios[layer]:.1g} of that of "
            f"{last}'s (act={facts.act})",
            layer=layer,
            step=int(norms[layer].steps[-1]),
            number=ratios[layer],
            remedy="act=relu" if facts.act in SATURATING else "act=selu",
            source=_GLOROT,
        )


def exploding_gradients(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the norm of the gradient is huge at any step."""
    norm = facts.column("train/grad_norm")
    if not len(norm) or norm.values.max() < _EXPLODING:
        return
    place = int(norm.values.argmax())
    of_layers = {
        name: float(series.values.max())
        for name, series in facts.layers("gradient_norm").items()
        if len(series)
    }
    layer = max(of_layers, key=lambda name: of_layers[name]) if of_layers else None
    where = "" if layer is None else f", most of it in {layer}"
    yield Finding(
        rule="exploding_gradients",
        message=f"gradients explode: their norm is {norm.values[place]:.2g} at step "
        f"{norm.steps[place]:.0f}{where}",
        layer=layer,
        step=int(norm.steps[place]),
        number=float(norm.values[place]),
        remedy=facts.override("optimizer.global_clipnorm", "1.0"),
        source=_PASCANU,
    )


def no_gradient(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if the gradient of a layer is exactly zero at the end and mostly before.

    A run whose whole gradient became zero is exempt.
    """
    norms = facts.layers("gradient_norm")
    whole = facts.column(f"gradient_norm/{ALL_LAYERS}")
    without = [name for name, series in norms.items() if _is_zero(series)]
    # Once a hinge loss is 0, so is its gradient; that is not a fault.
    if not without or not len(whole) or (whole.values[-1] == 0 and whole.values[0] > 0):
        return
    layer = without[-1]
    more = f" and of {', '.join(without[:-1])}" if len(without) > 1 else ""
    if facts.params.get("model.initializer") == "zeros":
        remedy: str | None = "model.initializer=null"
    else:
        remedy = "act=leaky_relu" if facts.act in _WITH_ZERO_SLOPE else None
    yield Finding(
        rule="no_gradient",
        message=f"the gradient of {layer}{more} is exactly 0: no learning there",
        layer=layer,
        step=int(norms[layer].steps[-1]),
        number=float(len(without)),
        remedy=remedy,
        source=_LU,
    )


def dead_units(facts: Facts) -> Iterator[Finding]:
    """Yields a finding for the layer with the most units that no example activates."""
    found = _worst(facts.layers("dead_share"))
    if found is None or found[1] < _DEAD:
        return
    layer, share, step = found
    yield Finding(
        rule="dead_units",
        message=f"{share:.0%} of the units of {layer} are dead (act={facts.act})",
        layer=layer,
        step=step,
        number=share,
        remedy="act=leaky_relu" if facts.act in _WITH_ZERO_SLOPE else facts.slower(),
        source=_LU,
    )


def saturated_units(facts: Facts) -> Iterator[Finding]:
    """Yields a finding for the layer whose sigmoid-like units are most often in their flat part."""
    found = _worst(facts.layers("saturated_share"))
    if facts.act not in SATURATING or found is None or found[1] < _SATURATED:
        return
    layer, share, step = found
    yield Finding(
        rule="saturated_units",
        message=f"{share:.0%} of the values of {layer} are saturated (act={facts.act})",
        layer=layer,
        step=step,
        number=share,
        remedy=_standardized(facts) or "act=relu",
        source=_GLOROT,
    )


def update_ratio(facts: Facts) -> Iterator[Finding]:
    """Yields a finding if a step moves the weights far more or less than usual."""
    ratios = facts.column(f"update_ratio/{ALL_LAYERS}").values
    if not len(ratios):
        return
    # Schedules lower the rate towards the end, so small ratios are judged by the first half of the
    # run. Too high a rate enlarges the weights, which lowers the ratio again, so large ratios are
    # judged by the first quarter.
    typical = float(np.median(ratios[: (len(ratios) + 1) // 2]))
    largest = float(ratios[: max(1, len(ratios) // 4)].max())
    is_small = typical < _SMALLEST_UPDATE
    if not is_small and largest <= _LARGEST_UPDATE:
        return
    ratio = typical if is_small else largest
    faster = facts.override("optimizer.learning_rate", f"{facts.learning_rate * 100:.3g}")
    yield Finding(
        rule="update_ratio",
        message=f"a step changes the weights by {ratio:.1g} of their norm; about 1e-3 is usual",
        number=ratio,
        remedy=faster if is_small else facts.slower(),
        source=_CS231N,
    )


def _ratio(series: Series, of: Series) -> float | None:
    """Returns the median ratio of two series over the common steps at which both are positive.

    Returns:
        None if there is no such step.
    """
    _, here, there = np.intersect1d(series.steps, of.steps, return_indices=True)
    values, others = series.values[here], of.values[there]
    known = (values > 0) & (others > 0)
    return float(np.median(values[known] / others[known])) if known.any() else None


def _is_zero(series: Series) -> bool:
    """Returns whether a gradient is zero at the end and for most of the run."""
    if len(series) < 2:
        return False
    zeros = series.values == 0
    return bool(zeros[-1] and zeros.mean() > 0.5)


def _worst(layers: Mapping[str, Series]) -> tuple[str, float, int] | None:
    """Returns the layer with the largest last value, that value, and its step."""
    last = {name: series for name, series in layers.items() if len(series)}
    if not last:
        return None
    layer = max(last, key=lambda name: last[name].values[-1])
    return layer, float(last[layer].values[-1]), int(last[layer].steps[-1])


def _standardized(facts: Facts) -> str | None:
    is_off = facts.params.get("data.standardize") is False
    return "data.standardize=true" if is_off else None
