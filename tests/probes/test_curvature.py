"""Curvature against exact Hessians, computed with NumPy in float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.probes.curvature import (
    Curvature,
    KrylovSpace,
    hessian_vector_product,
    hutchinson,
    lanczos,
)
from probes.subjects import RecordedMoment, make_subject

Array = NDArray[np.floating[Any]]
RANDOM = np.random.default_rng(0)
NO_SPACE = KrylovSpace(np.zeros((0, 30)), np.zeros(0))


def symmetric(eigenvalues: Array) -> Array:
    """Returns a matrix with these eigenvalues, in a random basis."""
    size = len(eigenvalues)
    basis = np.linalg.qr(RANDOM.standard_normal((size, size)))[0]
    matrix: Array = basis * eigenvalues @ basis.T
    return matrix


def signs(count: int, size: int) -> Array:
    return RANDOM.choice([-1.0, 1.0], (count, size))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lanczos_finds_all_eigenvalues_in_all_dimensions(dtype: Any) -> None:
    eigenvalues = np.sort(RANDOM.standard_normal(30)) * 10
    matrix = symmetric(eigenvalues).astype(dtype)
    space = lanczos(lambda vector: matrix @ vector, RANDOM.standard_normal(30).astype(dtype), 99)
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(space.eigenvalues, eigenvalues, atol=tolerance)
    np.testing.assert_allclose(space.basis @ space.basis.T, np.eye(30), atol=tolerance)


def test_lanczos_finds_the_outermost_eigenvalues_early() -> None:
    # Gaps separate three eigenvalues from the rest, as in the Hessian of a network.
    eigenvalues = np.array([-5.0, *RANDOM.uniform(-1, 1, 497), 9.0, 10.0])
    matrix = symmetric(eigenvalues)
    space = lanczos(lambda vector: matrix @ vector, RANDOM.standard_normal(500), 15)
    assert len(space.eigenvalues) == 15
    assert space.eigenvalues[[0, -1]] == pytest.approx([-5, 10], rel=1e-3)


def test_lanczos_stops_when_the_space_is_complete() -> None:
    matrix = symmetric(np.array([3.0, 2.0, *np.zeros(28)]))
    space = lanczos(lambda vector: matrix @ vector, RANDOM.standard_normal(30), 15)
    # A vector has a component for each different eigenvalue: 3, 2 and 0.
    assert len(space.eigenvalues) == 3
    np.testing.assert_allclose(space.eigenvalues, [0, 2, 3], atol=1e-12)


def test_trace_of_a_diagonal_matrix_needs_one_sample() -> None:
    diagonal = RANDOM.standard_normal(30)
    # zᵀ D z = Σ d_i z_i², and z_i² is always 1.
    trace = hutchinson(lambda vector: diagonal * vector, signs(1, 30), NO_SPACE)
    assert trace == pytest.approx(diagonal.sum())


def test_trace_is_unbiased_and_a_known_space_reduces_its_variance() -> None:
    matrix = symmetric(np.array([50.0, 30.0, 20.0, *RANDOM.uniform(-1, 1, 27)]))

    def product(vector: Array) -> Array:
        image: Array = matrix @ vector
        return image

    space = lanczos(product, RANDOM.standard_normal(30), 6)
    errors = {}
    for name, known in (("none", NO_SPACE), ("krylov", space)):
        found = np.array([hutchinson(product, signs(1, 30), known) for _ in range(400)])
        errors[name] = found - np.trace(matrix)
        assert abs(errors[name].mean()) < 4 * errors[name].std() / 20  # 20 is √400
    # Var zᵀAz = 2 (‖A‖² - Σ A_ii²)
    variance = 2 * (np.square(matrix).sum() - np.square(np.diag(matrix)).sum())
    assert errors["none"].var() == pytest.approx(variance, rel=0.3)
    assert errors["krylov"].std() < errors["none"].std() / 5


def test_product_is_the_derivative_of_the_gradient() -> None:
    inputs, kernel, bias = (RANDOM.standard_normal(shape) for shape in ((7, 3), (3, 2), (2,)))

    def gradient(values: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_mean(tf.tanh(inputs @ values[0] + values[1]) ** 4)
        gradients: Sequence[tf.Tensor] = tape.gradient(loss, values)
        return gradients

    def in_numpy(flat: Array) -> Array:
        """∂/∂z mean(tanh⁴ z) = 4 tanh³ z (1 - tanh² z) / count, for z = x W + b."""
        tanh = np.tanh(inputs @ flat[:6].reshape(3, 2) + flat[6:])
        of_z = 4 * tanh**3 * (1 - tanh**2) / tanh.size
        return np.concatenate([(inputs.T @ of_z).ravel(), of_z.sum(axis=0)])

    at, vector = np.concatenate([kernel.ravel(), bias]), RANDOM.standard_normal(8)
    expected = (in_numpy(at + 1e-5 * vector) - in_numpy(at - 1e-5 * vector)) / 2e-5
    values = [tf.constant(kernel), tf.constant(bias)]
    found = hessian_vector_product(gradient, values, tf.constant(vector))
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_product_of_a_linear_loss_is_zero() -> None:
    values = [tf.constant([1.0, 2.0]), tf.constant(3.0)]
    # The first gradient depends on no value, the second on the last one.
    found = hessian_vector_product(
        lambda given: [tf.ones(2), 2 * given[1]], values, tf.constant([1.0, 1.0, 4.0])
    )
    assert found.numpy().tolist() == [0, 0, 8]


def hessian_of_mlp(subject: Any) -> Array:
    """Returns the Hessian of an MLP with a hidden tanh layer and cross-entropy.

    It is the central difference of gradients.

    The gradients are computed with NumPy in float64.
    """
    batch = subject.batches[0]
    inputs = np.asarray(batch.inputs, np.float64).reshape(len(batch.inputs), -1)
    shapes = [tuple(weight.shape) for weight in subject.weights]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    labels = np.eye(shapes[-1][0])[np.asarray(batch.targets)]

    def gradient(flat: Array) -> Array:
        kernel, bias, last, last_bias = (
            part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)
        )
        hidden = np.tanh(inputs @ kernel + bias)
        logits = hidden @ last + last_bias
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        of_logits = (exponents / exponents.sum(axis=1, keepdims=True) - labels) / len(inputs)
        of_hidden = of_logits @ last.T * (1 - hidden**2)
        parts = (inputs.T @ of_hidden, of_hidden.sum(0), hidden.T @ of_logits, of_logits.sum(0))
        return np.concatenate([part.ravel() for part in parts])

    at = np.concatenate([np.asarray(value, np.float64).ravel() for value in subject.values()])
    steps = 1e-5 * np.eye(len(at))
    return np.stack([gradient(at + step) - gradient(at - step) for step in steps]) / 2e-5


def test_curvature_of_a_small_model_equals_that_of_its_exact_hessian() -> None:
    subject = make_subject(["model.units=[8]", "act=tanh"])
    hessian = hessian_of_mlp(subject)
    eigenvalues = np.linalg.eigvalsh(hessian)
    moment = RecordedMoment()
    Curvature(samples=200)(moment, subject)
    found = {name.removeprefix("curvature/"): value for name, value in moment.scalars.items()}
    assert found["largest_eigenvalue"] == pytest.approx(eigenvalues[-1], rel=0.01)
    assert found["smallest_eigenvalue"] == pytest.approx(eigenvalues[0], rel=0.01)
    assert found["trace"] == pytest.approx(np.trace(hessian), rel=0.05)


def test_values_follow_from_the_seed_and_the_step() -> None:
    subject = make_subject(["model.units=[4]"])
    found = []
    for probe, step in (
        (Curvature(), 3),
        (Curvature(), 3),
        (Curvature(), 4),
        (Curvature(seed=1), 3),
    ):
        moment = RecordedMoment(step)
        probe(moment, subject)
        found.append(moment.scalars)
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0] != found[3]


def test_hessian_that_is_not_finite_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    subject, moment = make_subject(["model.units=[]"]), RecordedMoment(3)
    subject.weights[0].assign(np.full(subject.weights[0].shape, np.nan))
    Curvature()(moment, subject)
    assert not moment.scalars
    assert caplog.messages == [
        "probe=[curvature] records nothing at step 3: the Hessian is not finite."
    ]


def test_pair_has_no_hessian() -> None:
    subject = make_subject(["model=gan", "loss=binary_crossentropy"])
    with pytest.raises(UserError, match="2 losses, whose Hessian is not defined"):
        Curvature()(RecordedMoment(), subject)


@pytest.mark.parametrize("name", ["iterations", "samples"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0: expected a whole number of at least 1"):
        Curvature(**{name: 0})
