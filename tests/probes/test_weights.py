"""Norms of weights against NumPy."""

from typing import Any

import keras
import numpy as np
import pytest

from expt.probes.weights import Weights, spectral_norm
from probes.subjects import RecordedMoment, make_subject

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "shape", [(7, 4), (4, 7), (5, 5), (3, 3, 2, 8), (5, 2, 3), (2, 2, 2, 1, 4)]
)
def test_spectral_norm_is_the_largest_singular_value(shape: tuple[int, ...]) -> None:
    kernel = RANDOM.standard_normal(shape).astype(np.float32)
    matrix = kernel.astype(np.float64).reshape(-1, shape[-1])
    assert spectral_norm(kernel) == pytest.approx(np.linalg.svd(matrix)[1][0], rel=1e-12)


def test_spectral_norm_of_zeros_is_zero() -> None:
    assert spectral_norm(np.zeros((3, 2))) == 0


def test_spectral_norm_of_a_convolution_is_its_largest_gain_for_a_patch() -> None:
    """For the singular vector, the output of one patch is as long as the spectral norm."""
    layer = keras.layers.Conv2D(4, 3, use_bias=False)
    layer.build((None, 3, 3, 2))
    kernel = layer.kernel.numpy()
    left = np.linalg.svd(kernel.reshape(-1, 4))[0][:, 0]
    output = layer(left.reshape(1, 3, 3, 2).astype(np.float32))
    assert np.linalg.norm(output) == pytest.approx(spectral_norm(kernel), rel=1e-5)


def test_norms_and_distances_equal_those_of_numpy() -> None:
    subject = make_subject(["model=cnn", "model.filters=[3]", "model.units=[]"])
    probe, moment = Weights(), RecordedMoment()
    probe(moment, subject)
    before: list[Any] = [weight.numpy().astype(np.float64) for weight in subject.weights]
    distances = {v for k, v in moment.scalars.items() if k.startswith("weight_distance/")}
    assert distances == {0}
    for weight in subject.weights:
        weight.assign_add(RANDOM.standard_normal(weight.shape))
    after = [weight.numpy().astype(np.float64) for weight in subject.weights]
    probe(moment, subject)
    layers = {"conv2d": [0, 1], "dense": [2, 3], "all": [0, 1, 2, 3]}
    expected = {}
    for layer, positions in layers.items():
        flat = [np.concatenate([w[i].ravel() for i in positions]) for w in (after, before)]
        expected[f"weight_norm/{layer}"] = np.sqrt(np.sum(flat[0] ** 2))
        expected[f"weight_distance/{layer}"] = np.sqrt(np.sum((flat[0] - flat[1]) ** 2))
        if layer != "all":
            matrix = after[positions[0]].reshape(-1, after[positions[0]].shape[-1])
            expected[f"spectral_norm/{layer}"] = np.linalg.norm(matrix, 2)
            np.testing.assert_array_equal(moment.histograms[f"weights/{layer}"], flat[0])
    assert moment.scalars == pytest.approx(expected, rel=1e-6)
    assert moment.histograms.keys() == {"weights/conv2d", "weights/dense"}


def test_only_matrices_have_a_spectral_norm() -> None:
    """Not the kernels of attention, which have as many axes as those of convolutions."""
    subject = make_subject(["model=vit", "model.depth=1", "model.width=16"])
    moment = RecordedMoment()
    Weights(histograms=False)(moment, subject)
    found = [name for name in moment.scalars if name.startswith("spectral_norm/")]
    layers = ("einsum_dense", "dense", "dense_1", "dense_2")
    assert found == [f"spectral_norm/{layer}" for layer in layers]
    assert not moment.histograms
