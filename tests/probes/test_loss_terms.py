"""The terms of a loss and their gradients against NumPy."""

from typing import Any

import numpy as np
import pytest

from expt.probes.loss_terms import LossTerms, cosine_of
from probes.subjects import RecordedMoment, make_subject


def gradient_of_linear(subject: Any) -> tuple[float, Any, Any]:
    """Returns cross-entropy, and its gradients for a linear model, computed with NumPy."""
    batch = subject.batches[0]
    inputs = np.asarray(batch.inputs, np.float64).reshape(len(batch.inputs), -1)
    kernel, bias = (value.numpy().astype(np.float64) for value in subject.values())
    logits = inputs @ kernel + bias
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    labels = np.asarray(batch.targets)
    loss = -np.log(shares[np.arange(len(labels)), labels]).mean()
    of_logits = (shares - np.eye(shares.shape[1])[labels]) / len(labels)
    return float(loss), inputs.T @ of_logits, of_logits.sum(axis=0)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_terms_of_a_linear_model_equal_those_of_numpy(precision: str) -> None:
    given = ["model.units=[]", "model.l2=0.5", f"loop.precision={precision}"]
    subject, moment = make_subject(given), RecordedMoment()
    LossTerms()(moment, subject)
    loss, of_kernel, of_bias = gradient_of_linear(subject)
    kernel = subject.weights[0].numpy().astype(np.float64)
    penalty = 2 * 0.5 * kernel  # the gradient of λ Σ w²
    expected = {
        "loss_term/data": loss,
        "loss_term/penalty.dense": 0.5 * np.square(kernel).sum(),
        "term_gradient_norm/data": np.sqrt(np.square(of_kernel).sum() + np.square(of_bias).sum()),
        "term_gradient_norm/penalty.dense": np.linalg.norm(penalty),
        "term_gradient_cosine/data-penalty.dense": (of_kernel * penalty).sum()
        / (np.linalg.norm(of_kernel) * np.linalg.norm(penalty)),
    }
    tolerance = 1e-5 if precision == "float32" else 1e-2
    assert moment.scalars == pytest.approx(expected, rel=tolerance)


def assert_sum_is_whole(subject: Any) -> None:
    """Asserts that the terms and their gradients add up to those of a training step."""
    values, batch = subject.values(), subject.batches[0]
    terms, (losses, gradients) = subject.terms(values, batch), subject.gradients(values, batch)
    total = sum(float(value) for value, _ in terms.values())
    assert total == pytest.approx(sum(map(float, losses)), rel=1e-5)
    for position, gradient in enumerate(gradients):
        parts = [of[position] for _, of in terms.values() if of[position] is not None]
        np.testing.assert_allclose(sum(map(np.asarray, parts)), gradient, rtol=1e-4, atol=1e-6)


def test_terms_add_up_to_the_loss() -> None:
    subject = make_subject(["model=cnn", "model.filters=[4]", "model.units=[8]", "model.l2=0.1"])
    assert_sum_is_whole(subject)
    assert [*subject.terms(subject.values(), subject.batches[0])] == [
        *("data", "penalty.conv2d", "penalty.dense", "penalty.dense_1")
    ]


def test_terms_of_reconstruction_compare_outputs_with_inputs() -> None:
    assert_sum_is_whole(make_subject(["model=autoencoder", "model.units=[8]", "loss=mse"]))


def test_terms_of_an_adversarial_pair_are_its_losses() -> None:
    subject = make_subject(["model=gan", "loss=binary_crossentropy"])
    assert_sum_is_whole(subject)
    moment = RecordedMoment()
    LossTerms()(moment, subject)
    # The generator's loss has no weights in common with those of the discriminator.
    cosines = {name for name in moment.scalars if "cosine" in name}
    assert cosines == {"term_gradient_cosine/discriminator.real-discriminator.generated"}


def test_cosine_uses_only_common_weights() -> None:
    one = [np.array([3.0, 4.0]), None, np.array([100.0])]
    assert cosine_of(one, [np.array([4.0, 3.0]), np.ones(5), None]) == pytest.approx(24 / 25)
    assert cosine_of(one, [None, np.ones(5), None]) is None
    assert cosine_of(one, [np.zeros(2), None, None]) is None
