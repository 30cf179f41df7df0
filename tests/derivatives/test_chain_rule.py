import numpy as np

from expt.derivatives.chain_rule import multiply_factors


def test_products_are_the_gradients_of_tapes(dtype: str, tolerance: float) -> None:
    products = multiply_factors(dtype)
    assert [product.result.name for product in products] == ["∂l/∂z₁", "∂l/∂W₂", "∂l/∂W₁"]
    for product in products:
        assert product.difference.largest <= tolerance


def test_factors_are_their_formulas() -> None:
    to_z1, to_w2, _ = multiply_factors("float64")
    hidden = to_w2.factors[0].matrix[:, 0]
    np.testing.assert_allclose(to_z1.factors[2].matrix, np.diag(1 - hidden**2), atol=1e-12)
    # p - t: the target is the first class.
    error = to_z1.factors[0].matrix[0]
    assert error[0] < 0 < error[1:].min()
    np.testing.assert_allclose(error.sum(), 0, atol=1e-12)
