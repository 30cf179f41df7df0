"""The probe of gradients and updates, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.probes.probe import Examples, ProbeMoment, Subject

Vector = NDArray[np.float64]
"""A number for each weight, shape [weights], layer after layer."""
_ALL = "all"


class Gradients:
    """Norms and histograms of the gradients of each layer, and how gradients and weights move.

    Gradients are those of the training loss, averaged over the fixed batches, which are the first
    ones of the train split, unless stated otherwise. For each layer, and for all layers together
    under the name `all`, the probe records:

    - `gradient_norm/LAYER`: the L2 norm ‖g‖ of the layer's gradient.
    - `gradient_mean_abs/LAYER`: the mean of |g| over the layer's weights, which does not depend on
      the size of the layer.
    - `gradient_cosine/LAYER`: the cosine between the gradients before and after the last step, on
      the first fixed batch. It is near 1 where steps are small, and negative where they overshoot.
    - `update_ratio/LAYER`: ‖w - w'‖ / ‖w'‖, where w' are the weights before the last step. About
      1e-3 is usual.
    - `gradient_snr/LAYER`: the norm of the mean gradient over the norm of the standard deviation
      between batches (R. Shwartz-Ziv and N. Tishby, arXiv:1703.00810, section 3.3).
    - `gradient_noise/scale`: the simple noise scale tr(Σ) / |G|², in examples: about the batch size
      above which larger batches save few steps (S. McCandlish et al., arXiv:1812.06162,
      appendix A.1). Recorded only if a single network is trained and the estimate
      of |G|² is positive.

    The last two need at least two fixed batches.

    Args:
        histograms: Whether to record the histogram of each layer's gradient, `gradients/LAYER`.
    """

    def __init__(self, histograms: bool = True) -> None:
        self._histograms = histograms
        self._before: tuple[int, Vector, Vector] | None = None
        self._compute: Any = None

    def before(self, moment: ProbeMoment, subject: Subject) -> None:
        """Keeps the weights and their gradient, for the comparison with those of the next step."""
        gradient = self._gradient(subject, subject.batches[0])
        self._before = moment.step, _weights(subject), gradient

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the gradients at the current weights."""
        slices = _slices(subject)
        of_batches = np.stack([self._gradient(subject, batch) for batch in subject.batches])
        mean = of_batches.mean(axis=0)
        logged = {**_sizes(slices, mean), **_noise(slices, of_batches, mean)}
        if subject.num_losses == 1 and len(of_batches) > 1:
            scale = noise_scale(of_batches, int(subject.batches[0].inputs.shape[0]))
            if scale is not None:
                logged["gradient_noise/scale"] = scale
        if self._before is not None and self._before[0] == moment.step - 1:
            _, weights, before = self._before
            logged |= _cosines(slices, of_batches[0], before)
            logged |= _update_ratios(slices, _weights(subject), weights)
        self._before = None
        # In mixed_float16, gradients overflow until the loss scale has adapted.
        moment.log({name: value for name, value in logged.items() if np.isfinite(value)})
        if self._histograms:
            for layer in subject.layers:
                moment.log_histogram(f"gradients/{layer}", mean[slices[layer]])

    def _gradient(self, subject: Subject, batch: Examples) -> Vector:
        if self._compute is None:
            # One graph for all batches, which is traced once.
            self._compute = subject.compiled(
                lambda batch: _joined(subject, subject.gradients(subject.values(), batch)[1])
            )
        return np.asarray(self._compute(batch), np.float64)


def _joined(subject: Subject, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Flattens and joins tensors, one for each of `weights`, layer after layer; shape [weights]."""
    ordered = [tensors[one] for positions in subject.layers.values() for one in positions]
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in ordered], axis=0)


def _weights(subject: Subject) -> Vector:
    return np.asarray(_joined(subject, subject.values()), np.float64)


def _slices(subject: Subject) -> Mapping[str, slice]:
    """Returns the slice of a `Vector` that belongs to each layer, and at last, for `all`, all."""
    sizes = [weight.numpy().size for weight in subject.weights]
    found, start = {}, 0
    for layer, positions in subject.layers.items():
        end = start + sum(sizes[one] for one in positions)
        found[layer], start = slice(start, end), end
    return {**found, _ALL: slice(0, start)}


def _norms(slices: Mapping[str, slice], vector: Vector) -> Mapping[str, float]:
    """Returns the L2 norm of each layer's part of a vector."""
    return {layer: float(np.linalg.norm(vector[part])) for layer, part in slices.items()}


def _sizes(slices: Mapping[str, slice], gradient: Vector) -> Mapping[str, float]:
    norms, sizes = _norms(slices, gradient), np.abs(gradient)
    return {
        **{f"gradient_norm/{layer}": norm for layer, norm in norms.items()},
        **{
            f"gradient_mean_abs/{layer}": float(sizes[part].mean())
            for layer, part in slices.items()
        },
    }


def _cosines(slices: Mapping[str, slice], now: Vector, before: Vector) -> Mapping[str, float]:
    one, other = _norms(slices, now), _norms(slices, before)
    return {
        f"gradient_cosine/{layer}": float(now[part] @ before[part] / (one[layer] * other[layer]))
        for layer, part in slices.items()
        if one[layer] * other[layer] > 0  # else the angle is undefined
    }


def _update_ratios(slices: Mapping[str, slice], now: Vector, before: Vector) -> Mapping[str, float]:
    moved, norms = _norms(slices, now - before), _norms(slices, before)
    return {
        f"update_ratio/{layer}": moved[layer] / norms[layer] for layer in slices if norms[layer] > 0
    }


def _noise(
    slices: Mapping[str, slice], of_batches: NDArray[np.float64], mean: Vector
) -> Mapping[str, float]:
    """Returns the signal-to-noise ratio of each layer."""
    if len(of_batches) < 2:
        return {}
    signal, noise = _norms(slices, mean), [_norms(slices, one) for one in of_batches - mean]
    deviation = {
        layer: float(np.linalg.norm([one[layer] for one in noise])) / (len(noise) - 1) ** 0.5
        for layer in slices
    }
    return {
        f"gradient_snr/{layer}": signal[layer] / deviation[layer]
        for layer in slices
        if deviation[layer] > 0
    }


def noise_scale(gradients: NDArray[np.float64], size: int) -> float | None:
    """Returns the simple noise scale tr(Σ) / |G|², estimated without bias in both factors.

    With n batches of b examples, |G|² ≈ (n b |ḡ|² - b m) / (n b - b) and
    tr(Σ) ≈ (m - |ḡ|²) / (1/b - 1/(n b)), where m is the mean of the squared norms of the batches'
    gradients and ḡ their mean (arXiv:1812.06162, equations A.2 and A.3).

    Args:
        gradients: The gradients of at least two batches, shape [batches, weights].
        size: The number of examples in a batch.

    Returns:
        The noise scale in examples; None if the estimate of |G|² is not positive, since the noise
        hides the gradient.
    """
    small = float(np.mean([one @ one for one in gradients]))
    mean = np.mean(gradients, axis=0)
    large, big = float(mean @ mean), size * len(gradients)
    squared = (big * large - size * small) / (big - size)
    trace = (small - large) / (1 / size - 1 / big)
    return trace / squared if squared > 0 else None
