"""Norms and noise of gradients against the closed form of linear least squares."""

from typing import Any

import numpy as np
import pytest

from expt.probes.gradients import Gradients, noise_scale
from probes.subjects import LeastSquares, RecordedMoment


def test_norms_are_those_of_the_mean_gradient() -> None:
    subject: Any = LeastSquares()
    moment = RecordedMoment()
    Gradients()(moment, subject)
    slope, offset = (np.mean(each, axis=0) for each in zip(*subject.exact(), strict=True))
    assert moment.scalars["gradient_norm/slope"] == pytest.approx(np.linalg.norm(slope), rel=1e-5)
    assert moment.scalars["gradient_mean_abs/slope"] == pytest.approx(
        np.abs(slope).mean(), rel=1e-5
    )
    everything = np.concatenate([slope.ravel(), offset])
    assert moment.scalars["gradient_norm/all"] == pytest.approx(
        np.linalg.norm(everything), rel=1e-5
    )
    np.testing.assert_allclose(moment.histograms["gradients/slope"], slope.ravel(), rtol=1e-4)
    # They need the weights of the previous step, which `before` has not recorded.
    assert not any(name.startswith(("update", "gradient_cos")) for name in moment.scalars)


def test_noise_is_the_spread_between_batches() -> None:
    subject: Any = LeastSquares()
    moment = RecordedMoment()
    Gradients()(moment, subject)
    each = np.array([np.concatenate([a.ravel(), b]) for a, b in subject.exact()])
    spread = np.sqrt(each.var(axis=0, ddof=1).sum())
    snr = np.linalg.norm(each.mean(axis=0)) / spread
    assert moment.scalars["gradient_snr/all"] == pytest.approx(snr, rel=1e-5)
    # tr(Σ) of one example is b = 8 times the trace of the covariance of batches; 32 examples.
    trace = 8 * each.var(axis=0, ddof=1).sum()
    squared = np.sum(each.mean(axis=0) ** 2) - trace / 32
    assert moment.scalars["gradient_noise/scale"] == pytest.approx(trace / squared, rel=1e-4)


def test_noise_scale_of_known_distribution() -> None:
    draw = np.random.default_rng(1)
    # Examples' gradients have the mean 1 in 50 directions and the variance 9 in each.
    gradients = 1 + 3 / np.sqrt(16) * draw.normal(size=(4000, 50))
    assert noise_scale(gradients, 16) == pytest.approx(9 * 50 / 50, rel=0.05)
    # The mean gradient is 0, so the noise scale would be infinite.
    assert noise_scale(np.array([[1.0, 1.0], [-1.0, -1.0]]), 4) is None


def test_step_is_compared_with_the_previous_one() -> None:
    subject: Any = LeastSquares()
    moment = RecordedMoment(7)
    probe = Gradients(histograms=False)
    probe.before(RecordedMoment(6), subject)
    old = subject.weights[0].numpy()
    before = subject.exact()[0][0].ravel()
    subject.weights[0].assign(old * 0.9)
    probe(moment, subject)
    after = subject.exact()[0][0].ravel()
    assert moment.scalars["update_ratio/slope"] == pytest.approx(0.1, rel=1e-5)
    assert moment.scalars["update_ratio/offset"] == 0
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert moment.scalars["gradient_cosine/slope"] == pytest.approx(cosine, rel=1e-5)
    assert not moment.histograms


def test_step_is_not_compared_with_older_ones() -> None:
    subject: Any = LeastSquares()
    moment, probe = RecordedMoment(9), Gradients()
    probe.before(RecordedMoment(6), subject)
    probe(moment, subject)
    assert "update_ratio/all" not in moment.scalars
