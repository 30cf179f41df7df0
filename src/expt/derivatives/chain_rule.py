"""The chain rule of a small MLP: each factor by a tape, and their products.

For one example x, z₁ = x W₁ + b₁, h = tanh(z₁), z₂ = h W₂ + b₂ and the cross-entropy l of
p = softmax(z₂) with the target t, backpropagation computes

    ∂l/∂z₁ = ∂l/∂z₂ · ∂z₂/∂h · ∂h/∂z₁,   ∂l/∂W₂ = hᵀ ∂l/∂z₂,   ∂l/∂W₁ = xᵀ ∂l/∂z₁

with ∂l/∂z₂ = p - t, ∂z₂/∂h = W₂ᵀ and ∂h/∂z₁ = diag(1 - h²). Source: I. Goodfellow et al., "Deep
Learning", 2016, section 6.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from expt.derivatives.tapes import Array, Difference

_INPUTS, _HIDDEN, _CLASSES = 2, 4, 3


@dataclass(frozen=True)
class Factor:
    """A matrix in a product.

    Attributes:
        name: Such as `∂l/∂z₂`.
        formula: Such as `p - t`.
        matrix: The values, of two axes.
    """

    name: str
    formula: str
    matrix: Array


@dataclass(frozen=True)
class Product:
    """A product of factors, beside the same derivative by a tape.

    Attributes:
        factors: The factors, in order.
        result: Their product.
        difference: The largest difference between the product and the tape's own derivative.
    """

    factors: Sequence[Factor]
    result: Factor
    difference: Difference


def multiply_factors(dtype: str) -> list[Product]:
    """Computes the products of the chain rule for ∂l/∂z₁, ∂l/∂W₂ and ∂l/∂W₁."""
    random = np.random.default_rng(0)
    x = tf.constant([[1.0, -0.5]], dtype)
    w1 = tf.constant(random.normal(size=(_INPUTS, _HIDDEN)), dtype)
    w2 = tf.constant(random.normal(size=(_HIDDEN, _CLASSES)), dtype)
    target = tf.one_hot([0], _CLASSES, dtype=dtype)
    # Persistent, because each factor is read from the same tape.
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, w1, w2])
        z1 = x @ w1
        h = tf.tanh(z1)
        z2 = h @ w2
        loss = tf.nn.softmax_cross_entropy_with_logits(target, z2)
    to_z2 = Factor("∂l/∂z₂", "p - t", _array(tape.gradient(loss, z2)))
    to_h = Factor("∂z₂/∂h", "W₂ᵀ", _array(tape.jacobian(z2, h)))
    to_z1 = Factor("∂h/∂z₁", "diag(1 - h²)", _array(tape.jacobian(h, z1)))
    named = (("∂l/∂z₁", z1), ("∂l/∂W₂", w2), ("∂l/∂W₁", w1))
    found = {name: _array(tape.gradient(loss, variable)) for name, variable in named}
    del tape  # a persistent tape keeps its tensors until it is deleted
    at_z1 = _product("∂l/∂z₁", "backpropagated", [to_z2, to_h, to_z1], found)
    hidden = Factor("hᵀ", "the hidden layer", _array(h).T)
    inputs = Factor("xᵀ", "the input", _array(x).T)
    return [
        at_z1,
        _product("∂l/∂W₂", "gradient of W₂", [hidden, to_z2], found),
        _product("∂l/∂W₁", "gradient of W₁", [inputs, at_z1.result], found),
    ]


def _array(tensor: tf.Tensor) -> Array:
    """Returns a matrix; of a Jacobian between two rows, the axes of length 1 are left out."""
    array = np.asarray(tensor)
    return array if array.ndim == 2 else array[0, :, 0, :]


def _product(
    name: str, formula: str, factors: Sequence[Factor], found: Mapping[str, Array]
) -> Product:
    # In float64, so that the difference is that of the tape's own rounding.
    matrix = factors[0].matrix.astype(np.float64)
    for factor in factors[1:]:
        matrix = matrix @ factor.matrix
    rows = np.arange(len(matrix)) + 1.0
    difference = Difference.between(found[name], matrix, rows, "row")
    return Product(factors, Factor(name, formula, matrix), difference)
