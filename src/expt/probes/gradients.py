"""The probe of gradients and updates, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.probes.probe import Examples, ProbeMoment, Subject

Arrays = Sequence[NDArray[np.floating[Any]]]
_ALL = "all"


class Gradients:
    """Norms and histograms of the gradients of each layer, and how gradients and weights move.

    All gradients are those of the training loss, and means over the fixed batches. For each layer,
    and for all layers together under the name `all`, the probe records:

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
      appendix A.1). Recorded for one network only, and if the estimate of |G|² is positive.

    The last two need at least two fixed batches.

    Args:
        histograms: Whether to record the histogram of each layer's gradient, `gradients/LAYER`.
    """

    def __init__(self, histograms: bool = True) -> None:
        self._histograms = histograms
        self._before: tuple[int, Arrays, Arrays] | None = None
        self._compute: Any = None

    def before(self, moment: ProbeMoment, subject: Subject) -> None:
        """Keeps the weights and their gradient, for the comparison with those of the next step."""
        values = [value.numpy() for value in subject.values()]
        self._before = moment.step, values, self._gradient(subject, subject.batches[0])

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the gradients at the current weights."""
        of_batches = [self._gradient(subject, batch) for batch in subject.batches]
        gradients = _mean(of_batches)
        logged = {**_sizes(subject, gradients), **_noise(subject, of_batches, gradients)}
        if self._before is not None and self._before[0] == moment.step - 1:
            _, weights, before = self._before
            logged |= _cosines(subject, of_batches[0], before)
            values = [value.numpy() for value in subject.values()]
            logged |= _update_ratios(subject, values, weights)
        self._before = None
        moment.log({name: value for name, value in logged.items() if np.isfinite(value)})
        if self._histograms:
            for layer, positions in subject.layers.items():
                moment.log_histogram(f"gradients/{layer}", _flat(gradients, positions))

    def _gradient(self, subject: Subject, batch: Examples) -> Arrays:
        if self._compute is None:
            # One graph for all batches, which is traced once.
            self._compute = subject.compiled(
                lambda batch: subject.gradients(subject.values(), batch)[1]
            )
        return [gradient.numpy() for gradient in self._compute(batch)]


def _mean(of_batches: Sequence[Arrays]) -> Arrays:
    return [
        np.mean([gradient.astype(np.float64) for gradient in gradients], axis=0)
        for gradients in zip(*of_batches, strict=True)
    ]


def _flat(arrays: Arrays, positions: Sequence[int]) -> NDArray[np.float64]:
    """Returns all numbers of some arrays, shape [numbers]."""
    return np.concatenate([np.asarray(arrays[one], np.float64).ravel() for one in positions])


def _groups(subject: Subject) -> Iterator[tuple[str, Sequence[int]]]:
    """Yields the positions of each layer's weights, and at last those of all weights."""
    yield from subject.layers.items()
    yield _ALL, range(len(subject.weights))


def _sizes(subject: Subject, gradients: Arrays) -> Mapping[str, float]:
    found = {}
    for layer, positions in _groups(subject):
        values = _flat(gradients, positions)
        found[f"gradient_norm/{layer}"] = float(np.linalg.norm(values))
        found[f"gradient_mean_abs/{layer}"] = float(np.abs(values).mean())
    return found


def _cosines(subject: Subject, now: Arrays, before: Arrays) -> Mapping[str, float]:
    found = {}
    for layer, positions in _groups(subject):
        one, other = _flat(now, positions), _flat(before, positions)
        norms = np.linalg.norm(one) * np.linalg.norm(other)
        if norms > 0:  # else the angle is undefined
            found[f"gradient_cosine/{layer}"] = float(one @ other / norms)
    return found


def _update_ratios(subject: Subject, now: Arrays, before: Arrays) -> Mapping[str, float]:
    found = {}
    for layer, positions in _groups(subject):
        old = _flat(before, positions)
        if norm := np.linalg.norm(old):
            found[f"update_ratio/{layer}"] = float(
                np.linalg.norm(_flat(now, positions) - old) / norm
            )
    return found


def _noise(subject: Subject, of_batches: Sequence[Arrays], mean: Arrays) -> Mapping[str, float]:
    """Returns the signal-to-noise ratio of each layer, and the noise scale."""
    count = len(of_batches)
    if count < 2:
        return {}
    found = {}
    for layer, positions in _groups(subject):
        each = np.stack([_flat(gradients, positions) for gradients in of_batches])
        spread = np.linalg.norm(each.std(axis=0, ddof=1))
        if spread > 0:
            found[f"gradient_snr/{layer}"] = float(np.linalg.norm(_flat(mean, positions)) / spread)
    if subject.num_losses == 1:
        size = int(subject.batches[0].inputs.shape[0])
        scale = noise_scale([_flat(one, range(len(mean))) for one in of_batches], size)
        if scale is not None:
            found["gradient_noise/scale"] = scale
    return found


def noise_scale(gradients: Sequence[NDArray[np.float64]], size: int) -> float | None:
    """Returns the simple noise scale tr(Σ) / |G|², estimated without bias in both factors.

    With n batches of b examples, |G|² ≈ (n b |ḡ|² - b m) / (n b - b) and
    tr(Σ) ≈ (m - |ḡ|²) / (1/b - 1/(n b)), where m is the mean of the squared norms of the batches'
    gradients and ḡ their mean (arXiv:1812.06162, equations A.2 and A.3).

    Args:
        gradients: The gradient of each batch, shape [weights]; at least two.
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
