"""The probe of weights, layer by layer."""

from collections.abc import Iterator, Sequence, Set
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.probes.probe import ProbeMoment, Subject

_ALL = "all"
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


class Weights:
    """Norms and histograms of the weights of each layer, and how far they are from the start.

    For each layer, and except for the last for all layers together under the name `all`, the probe
    records:

    - `weight_norm/LAYER`: the L2 norm ‖w‖ of the layer's trainable weights.
    - `weight_distance/LAYER`: ‖w - w₀‖, where w₀ are the weights before training.
    - `spectral_norm/LAYER`: the largest singular value of the layer's matrix, by which it stretches
      its inputs at most. The kernel of a convolution counts as the matrix of shape
      [height · width · channels, filters] that maps a patch to its outputs. If a layer has several
      matrices, their names are appended, as in `spectral_norm/lstm_cell.kernel`.

    Args:
        histograms: Whether to record the histogram of each layer's weights, `weights/LAYER`.
    """

    def __init__(self, histograms: bool = True) -> None:
        self._histograms = histograms

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the current weights, not their moving averages."""
        values = [value.numpy() for value in subject.values()]
        logged = {}
        for layer, positions in (*subject.layers.items(), (_ALL, range(len(values)))):
            weights, initial = _flat(values, positions), _flat(subject.initial, positions)
            logged[f"weight_norm/{layer}"] = float(np.linalg.norm(weights))
            logged[f"weight_distance/{layer}"] = float(np.linalg.norm(weights - initial))
            if self._histograms and layer in subject.layers:
                moment.log_histogram(f"weights/{layer}", weights)
        for name, position in _matrices(subject):
            logged[f"spectral_norm/{name}"] = spectral_norm(values[position])
        moment.log(logged)


def _flat(arrays: Sequence[NDArray[Any]], positions: Sequence[int]) -> NDArray[np.float64]:
    """Returns all numbers of some arrays, shape [numbers]."""
    return np.concatenate([np.asarray(arrays[one], np.float64).ravel() for one in positions])


def _matrices(subject: Subject) -> Iterator[tuple[str, int]]:
    """Yields the name and the position of each weight that is a matrix."""
    # By the layer, since the kernels of other layers, such as attention, have as many axes.
    kernels = {
        id(layer.kernel)
        for network in subject.networks
        for layer in network._flatten_layers()
        if isinstance(layer, _CONVOLUTIONS)
    }
    for layer, positions in subject.layers.items():
        found = [one for one in positions if _is_matrix(subject.weights[one], kernels)]
        for position in found:
            name = layer if len(found) == 1 else f"{layer}.{subject.weights[position].name}"
            yield name, position


def _is_matrix(weight: keras.Variable, kernels: Set[int]) -> bool:
    # Some biases have two axes, too.
    return id(weight) in kernels or (len(weight.shape) == 2 and weight.name.endswith("kernel"))


def spectral_norm(kernel: NDArray[np.floating[Any]]) -> float:
    """Returns the largest singular value of a kernel, as a matrix with one column per output.

    It is √λ_max of the smaller one of WᵀW and W Wᵀ, computed in float64.

    Args:
        kernel: Shape [inputs, outputs], or of a convolution [height, width, channels, filters],
            with any number of spatial axes.
    """
    matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    largest = np.linalg.eigvalsh(smaller @ smaller.T)[-1]
    return float(np.sqrt(max(largest, 0.0)))  # rounding can make 0 negative
