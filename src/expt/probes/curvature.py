"""The probe of curvature: eigenvalues and trace of the Hessian of the loss."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.numbers import is_count
from expt.probes.probe import ProbeMoment, Subject

_log = logging.getLogger(__name__)

Vector = NDArray[np.floating[Any]]
"""One number per weight, shape [weights]."""
Product = Callable[[Vector], Vector]
"""Multiplies a symmetric matrix, such as a Hessian, by a vector."""


class Curvature:
    """The curvature of the training loss on the first fixed batch.

    With H, the Hessian of the loss in all trainable weights, the probe records:

    - `curvature/largest_eigenvalue`: gradient descent with a learning rate above 2 / λ_max diverges
      on a quadratic with this curvature.
    - `curvature/smallest_eigenvalue`: negative where the loss curves downwards in a direction.
      Often too large, since Lanczos converges to it more slowly than to the largest one.
    - `curvature/trace`: the sum of all eigenvalues.

    H is never computed: products H v take about three times as long as a gradient. The eigenvalues
    are those of H projected on the Krylov space of a random vector (`lanczos`); the trace is exact
    in that space and estimated outside of it (`hutchinson`). The random vectors follow from the
    seed and the step, so that a resumed run records the same values.

    The Hessian of an adversarial pair is not defined, since each network has its own loss. Where H
    is not finite, as in mixed_float16 until the loss scale has adapted, the probe logs a warning
    and records nothing.

    Args:
        iterations: The number of Hessian-vector products for the eigenvalues; as many vectors, each
            as large as the weights, are kept in memory.
        samples: The number of Hessian-vector products that estimate the trace outside of the Krylov
            space.
        seed: The seed of the random vectors.

    Raises:
        ValueError: A number of products is not a whole number of at least 1.
    """

    def __init__(self, iterations: int = 15, samples: int = 10, seed: int = 0) -> None:
        for name, value in (("iterations", iterations), ("samples", samples)):
            if not is_count(value, 1):
                raise ValueError(f"{name}={value}: expected a whole number of at least 1.")
        self._iterations, self._samples, self._seed = iterations, samples, seed
        self._product: Any = None

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records eigenvalues and trace at the current weights.

        Raises:
            UserError: The networks have several losses, or TensorFlow has no second derivative of
                an operation in them.
        """
        if subject.num_losses > 1:
            raise UserError(
                f"probe=[curvature]: the model is trained with {subject.num_losses} losses, whose "
                "Hessian is not defined; expected one loss. Leave curvature out of probe=[…]."
            )
        product = self._hessian(subject)
        random = np.random.default_rng((self._seed, moment.step))
        size = sum(int(np.prod(weight.shape)) for weight in subject.weights)
        start = random.standard_normal(size, np.float32)
        try:
            space = lanczos(product, start, self._iterations)
            samples = (_rademacher(random, size) for _ in range(self._samples))
            trace = hutchinson(product, samples, space)
        except FloatingPointError:
            _log.warning(
                "probe=[curvature] records nothing at step %d: the Hessian is not finite.",
                moment.step,
            )
            return
        except LookupError as error:  # raised while the graph is traced
            raise UserError(
                f"probe=[curvature]: TensorFlow has no second derivative of an operation in the "
                f"model ({error}), such as that of act=softsign. Leave curvature out of probe=[…]."
            ) from error
        moment.log(
            {
                "curvature/largest_eigenvalue": float(space.eigenvalues[-1]),
                "curvature/smallest_eigenvalue": float(space.eigenvalues[0]),
                "curvature/trace": trace,
            }
        )

    def _hessian(self, subject: Subject) -> Product:
        if self._product is None:

            def compute(vector: tf.Tensor) -> tf.Tensor:
                def gradient(values: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
                    return subject.gradients(values, subject.batches[0])[1]

                return hessian_vector_product(gradient, subject.values(), vector)

            self._product = subject.compiled(compute)
        compiled = self._product

        def product(vector: Vector) -> Vector:
            image = np.asarray(compiled(tf.constant(vector)))
            # A matrix that is not finite has no eigenvalues, and LAPACK fails on it.
            if not np.isfinite(image).all():
                raise FloatingPointError
            return image

        return product


def hessian_vector_product(
    gradient: Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]],
    values: Sequence[tf.Tensor],
    vector: tf.Tensor,
) -> tf.Tensor:
    """Returns H v = ∇(∇L · v), the product of a Hessian and a vector, by a tape around a gradient.

    Source: B. A. Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural Computation 6,
    1994.

    Args:
        gradient: Computes ∇L, one tensor for each of the values; must be differentiable.
        values: The values at which the Hessian is taken.
        vector: The vector v, with the numbers of all values in order, shape [numbers].

    Returns:
        H v, in the shape and type of `vector`.
    """
    sizes = [int(np.prod(value.shape)) for value in values]
    parts = [
        tf.reshape(part, value.shape)
        for part, value in zip(tf.split(vector, sizes), values, strict=True)
    ]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        products = [
            tf.reduce_sum(each * part) for each, part in zip(gradient(values), parts, strict=True)
        ]
        product = tf.add_n(products)
    # The gradient of a weight in which the loss is linear does not depend on any weight.
    columns = tape.gradient(product, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return tf.concat([tf.reshape(column, [-1]) for column in columns], axis=0)


class KrylovSpace(NamedTuple):
    """The space spanned by v, A v, A² v, … for a symmetric matrix A.

    Attributes:
        basis: Orthonormal vectors q, shape [dimensions, weights].
        eigenvalues: Those of A projected on the space (Ritz values), in ascending order, shape
            [dimensions]. They lie within the range of the eigenvalues of A; the outermost ones
            converge to the outermost ones of A.
    """

    basis: NDArray[np.floating[Any]]
    eigenvalues: NDArray[np.float64]


def lanczos(product: Product, start: Vector, dimensions: int) -> KrylovSpace:
    """Returns the Krylov space of a symmetric matrix A by the algorithm of Lanczos.

    A q_j = β_{j-1} q_{j-1} + α_j q_j + β_j q_{j+1}; α and β are the entries of the projected,
    tridiagonal matrix. Source: G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th edition,
    sections 10.1 and 10.3.

    Args:
        product: Multiplies A by a vector; called once per dimension.
        start: The vector v, which must not be 0.
        dimensions: The maximum number of dimensions, at least 1. The space has fewer if v, A v,
            A² v, … become linearly dependent.
    """
    dimensions = min(dimensions, len(start))
    basis = np.zeros((dimensions, len(start)), start.dtype)
    diagonal, beside = np.zeros(dimensions), np.zeros(dimensions)
    basis[0] = start / np.linalg.norm(start)
    for index in range(dimensions):
        image, known = product(basis[index]), basis[: index + 1]
        diagonal[index] = basis[index] @ image
        # Orthogonalized against all vectors, not just the last two: rounding would let converged
        # directions come back. Once is not enough in float32.
        for _ in range(2):
            image = _outside(known, image)
        beside[index] = np.linalg.norm(image)
        # Up to rounding, A maps the space to itself.
        rounding = 100 * np.finfo(start.dtype).eps * np.abs(diagonal).max()
        is_complete = beside[index] <= rounding
        if index + 1 == dimensions or is_complete:
            break
        basis[index + 1] = image / beside[index]
    count = index + 1
    off_diagonal = np.diag(beside[: count - 1], 1)
    projected = np.diag(diagonal[:count]) + off_diagonal + off_diagonal.T
    return KrylovSpace(basis[:count], np.asarray(np.linalg.eigvalsh(projected), np.float64))


def hutchinson(product: Product, samples: Iterable[Vector], space: KrylovSpace) -> float:
    """Returns an unbiased estimate of the trace of a symmetric matrix A.

    tr A = E[zᵀ A z] for random z with E[z zᵀ] = I (M. F. Hutchinson, "A Stochastic Estimator of the
    Trace of the Influence Matrix", Communications in Statistics 18, 1989). Within a known space the
    trace is the sum of its eigenvalues, and only the rest, (I - QᵀQ) A (I - QᵀQ), is estimated.
    Since the space has the largest eigenvalues, the variance is far smaller (R. A. Meyer et al.,
    "Hutch++", arXiv:2010.09649).

    Args:
        product: Multiplies A by a vector; called once per sample.
        samples: The vectors z, independent of the space, with entries of 1 and -1; at least one.
        space: A space whose basis Q is known; may have no dimensions.
    """
    rests = [_outside(space.basis, sample) for sample in samples]
    return float(space.eigenvalues.sum() + np.mean([rest @ product(rest) for rest in rests]))


def _outside(basis: NDArray[np.floating[Any]], vector: Vector) -> Vector:
    """Returns the part of a vector that is orthogonal to a basis, (I - QᵀQ) v."""
    # Not `@`, which is slower here: its threads compete with TensorFlow's for the cores.
    shares = np.einsum("kn,n->k", basis, vector)
    part: Vector = vector - np.einsum("k,kn->n", shares, basis)
    return part


def _rademacher(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Returns independent numbers that are 1 or -1 with equal probability, shape [size]."""
    return (2 * random.integers(0, 2, size, np.int8) - 1).astype(np.float32)
