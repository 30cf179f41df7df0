import numpy as np
from scipy import special

from expt.derivatives.softmax import compare_losses, softmax_jacobians


def test_jacobians(dtype: str, tolerance: float) -> None:
    for jacobian in softmax_jacobians(dtype):
        p = special.softmax(jacobian.logits)
        expected = np.diag(p) - np.outer(p, p)
        np.testing.assert_allclose(jacobian.matrix, expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(jacobian.matrix.sum(axis=0), 0, atol=tolerance)
        assert jacobian.difference.largest <= tolerance


def test_gradient_of_mse_vanishes_at_mistakes_and_that_of_crossentropy_does_not() -> None:
    crossentropy, mse = compare_losses("float64")
    assert (crossentropy.title, mse.title) == ("cross-entropy", "mean squared error")
    p = special.softmax(np.stack([mse.x, 0 * mse.x, 0 * mse.x], axis=-1), axis=-1)
    errors = p - np.array([1, 0, 0])
    np.testing.assert_allclose(crossentropy.gradient, errors, atol=1e-12)
    through = [(np.diag(q) - np.outer(q, q)) @ (2 * e / 3) for q, e in zip(p, errors, strict=True)]
    np.testing.assert_allclose(mse.gradient, through, atol=1e-12)
    # z₁ = -8, z₂ = 8: certain, and wrong.
    assert crossentropy.norms[-1, 0] > 1.4
    assert mse.norms[-1, 0] < 1e-3
