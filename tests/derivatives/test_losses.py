import functools
from dataclasses import replace

import numpy as np
import pytest

from expt.config.location import options
from expt.config.options import compose_options
from expt.derivatives.loss_formulas import find_gradient, softmax_jacobian
from expt.derivatives.losses import differentiate_loss
from expt.parts import losses

JOBS = compose_options({"loss": options("loss")})["loss"]
OF_LABELS_ONLY = {"crossentropy", "focal", "hinge"}
OF_VALUES_ONLY = {"poisson", "quantile"}


@pytest.mark.parametrize("option", options("loss"))
def test_gradients_agree_with_closed_forms(option: str, dtype: str, tolerance: float) -> None:
    results = differentiate_loss(option, JOBS[option], dtype)
    kinds = [result.of_labels for result in results]
    assert (True in kinds) == (option not in OF_VALUES_ONLY)
    assert (False in kinds) == (option not in OF_LABELS_ONLY)
    for result in results:
        assert result.difference is not None, f"add the gradient of conf/loss/{option}.yaml"
        assert result.difference.largest <= tolerance


@pytest.mark.parametrize("option", options("loss"))
def test_gradients_are_the_slopes_of_the_values(option: str) -> None:
    for result in differentiate_loss(option, JOBS[option], "float64"):
        slopes = np.gradient(result.value, result.x)
        inner = slice(2, -2)
        difference = np.abs(slopes - result.gradient[:, 0])[inner]
        # The slope across a kink is between those on both sides.
        assert np.sort(difference)[-3] < 0.01


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("crossentropy", {"label_smoothing": 0.1}),
        ("binary_crossentropy", {"label_smoothing": 0.2}),
        ("kl", {"label_smoothing": 0.1}),
        ("focal", {"gamma": 0.5}),
        ("huber", {"delta": 0.3}),
        ("hinge", {"margin": 2.0}),
        ("quantile", {"quantile": 0.9}),
    ],
)
def test_closed_forms_have_the_options_of_the_loss(
    option: str, arguments: dict[str, float]
) -> None:
    job = JOBS[option]
    config = job.config.with_values({f"loss.{key}": value for key, value in arguments.items()})
    for result in differentiate_loss(option, replace(job, config=config), "float64"):
        assert result.difference is not None
        assert result.difference.largest <= 1e-12


def test_unknown_losses_have_no_closed_form() -> None:
    def own(targets: object, outputs: object) -> object:
        return targets, outputs

    assert find_gradient(functools.partial(own), of_labels=False) is None
    weighted = functools.partial(losses.crossentropy, class_weights=[1.0, 2.0])
    assert find_gradient(weighted, of_labels=True) is None


def test_softmax_jacobian() -> None:
    p = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(softmax_jacobian(p), np.diag(p) - np.outer(p, p), rtol=1e-15)
