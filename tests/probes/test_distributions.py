"""Quantiles of histograms, and the figures of distributions by layer."""

import numpy as np
import pytest

from expt.probes.distributions import distributions, quantiles
from expt.record.recorder import Histogram


def _histogram(name: str, step: int, values: object) -> Histogram:
    return Histogram.of(step, 0.0, name, np.asarray(values))


def test_quantiles_are_near_those_of_the_values() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    histogram = _histogram("weights/dense", 0, values)
    width = histogram.edges[1] - histogram.edges[0]
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(
        quantiles(histogram, shares), np.quantile(values, shares), atol=width
    )
    assert quantiles(histogram, [0, 1]) == pytest.approx([values.min(), values.max()])


def test_quantiles_of_values_in_two_bins() -> None:
    histogram = _histogram("activations/relu", 0, [0.0] * 50 + [1.0] * 50)
    assert quantiles(histogram, [0.25, 0.75]) == pytest.approx([0, 1], abs=0.04)


def test_each_group_has_a_figure_unless_its_values_are_not_finite() -> None:
    histograms = [
        _histogram(f"within/{group}/layer_{layer}", step, np.arange(5.0) * step)
        for group in ("gradients", "weights")
        for layer in range(30)
        for step in (1, 2)
    ]
    figures = dict(distributions([*histograms, _histogram("bad/layer", 1, [np.nan])]))
    assert set(figures) == {"gradients", "weights"}
    height, width, channels = figures["weights"]().shape
    assert height < width * 1.2  # only 24 of the 30 layers are drawn, four per row
    assert channels == 3
    assert not dict(distributions([]))
