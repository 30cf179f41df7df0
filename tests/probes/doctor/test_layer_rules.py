"""Tests of the rules about layers: each fires for its fault, but not just below it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from expt.probes.doctor.series import Series
from probes.doctor.made_facts import NUM_STEPS, by_epoch, by_step, facts, found

RULES = (
    *("vanishing_gradients", "exploding_gradients", "no_gradient"),
    *("dead_units", "saturated_units", "update_ratio"),
)
LAYERS = ("dense", "dense_1", "dense_2", "all")


def columns(
    quantity: str, values: Sequence[float], at_start: float | None = None
) -> dict[str, Series]:
    """Returns columns of a probe with a constant value for each layer, after the first record."""
    return {
        f"{quantity}/{layer}": by_epoch([value if at_start is None else at_start] + 9 * [value])
        for layer, value in zip(LAYERS, values, strict=False)
    }


HEALTHY: Mapping[str, Series] = {
    **columns("gradient_norm", [0.5, 0.7, 1.0, 1.4]),
    **columns("update_ratio", [1e-3, 1e-3, 2e-3, 1e-3]),
    **columns("dead_share", [0.1, 0.2]),
    **columns("saturated_share", [0.5, 0.5]),
}


@pytest.mark.parametrize("rule", RULES)
def test_healthy_run_has_no_findings(rule: str) -> None:
    assert found(rule, facts(HEALTHY)) is None


@pytest.mark.parametrize("rule", RULES)
def test_run_without_probes_has_no_findings(rule: str) -> None:
    assert found(rule, facts()) is None


@pytest.mark.parametrize(("norm", "fires"), [(0.03, False), (1e-4, True)])
def test_vanishing_gradient_is_found(norm: float, fires: bool) -> None:
    given = facts(columns("gradient_norm", [norm, 0.1, 1.0, 1.0]), {"act": "sigmoid"})
    finding = found("vanishing_gradients", given)
    assert (finding is not None) is fires
    if finding is not None:
        assert (finding.layer, finding.remedy) == ("dense", "act=relu")
        assert finding.number == pytest.approx(norm)
        assert "dense's is 0.0001 of that of dense_2's" in finding.message


def test_small_gradients_of_all_layers_are_not_vanishing() -> None:
    # At the end of training, the gradients of all layers are small.
    assert not found(
        "vanishing_gradients", facts(columns("gradient_norm", [1e-7, 2e-7, 3e-7, 4e-7]))
    )


def test_networks_of_an_adversarial_pair_are_not_compared() -> None:
    given = facts(columns("gradient_norm", [1e-4, 0.1, 1.0, 1.0]), task="generation")
    assert found("vanishing_gradients", given) is None


def test_zero_gradient_is_not_vanishing() -> None:
    assert not found("vanishing_gradients", facts(columns("gradient_norm", [0.0, 0.5, 1.0, 1.1])))


def test_exploding_gradient_is_found() -> None:
    norms = np.full(NUM_STEPS, 10.0)
    norms[30] = 5e3
    given = facts({"train/grad_norm": by_step(norms), **HEALTHY})
    finding = found("exploding_gradients", given)
    assert finding is not None
    assert (finding.step, finding.number, finding.layer) == (31, 5e3, "dense_2")
    assert finding.remedy == "optimizer.global_clipnorm=1.0"
    norms[30] = 900
    assert not found("exploding_gradients", facts({"train/grad_norm": by_step(norms)}))


def test_layer_without_gradient_is_found() -> None:
    finding = found("no_gradient", facts(columns("gradient_norm", [0.0, 0.0, 1.0, 1.0])))
    assert finding is not None
    assert (finding.layer, finding.number, finding.remedy) == ("dense_1", 2, "act=leaky_relu")
    assert "dense_1 and of dense is exactly 0" in finding.message
    zeros = facts(columns("gradient_norm", [0.0, 1.0, 1.0, 1.0]), {"model.initializer": "zeros"})
    assert (of_zeros := found("no_gradient", zeros)) is not None
    assert of_zeros.remedy == "model.initializer=null"


def test_gradient_that_becomes_zero_in_all_layers_is_not_a_fault() -> None:
    # As with a hinge loss that has reached 0.
    given = facts(columns("gradient_norm", [0.0, 0.0, 0.0, 0.0], at_start=1.0))
    assert found("no_gradient", given) is None


@pytest.mark.parametrize(("share", "fires"), [(0.6, False), (0.8, True)])
def test_dead_units_are_found(share: float, fires: bool) -> None:
    finding = found("dead_units", facts(columns("dead_share", [0.1, share])))
    assert (finding is not None) is fires
    if finding is not None:
        assert (finding.layer, finding.number) == ("dense_1", share)
        assert finding.remedy == "act=leaky_relu"


@pytest.mark.parametrize(("share", "fires"), [(0.4, False), (0.8, True)])
def test_saturated_units_are_found(share: float, fires: bool) -> None:
    given = columns("saturated_share", [share, 0.1])
    finding = found("saturated_units", facts(given, {"act": "tanh"}))
    assert (finding is not None) is fires
    # Half of the values of a relu have no slope; that is not a fault.
    assert not found("saturated_units", facts(given))


@pytest.mark.parametrize(
    ("ratio", "remedy"),
    [
        (1e-7, "optimizer.learning_rate=10"),
        (1e-4, None),
        (0.03, None),
        (0.5, "optimizer.learning_rate=0.01"),
    ],
)
def test_unusual_updates_are_found(ratio: float, remedy: str | None) -> None:
    finding = found("update_ratio", facts(columns("update_ratio", 4 * [ratio])))
    assert (None if finding is None else finding.remedy) == remedy


def test_updates_at_the_end_of_a_schedule_may_be_small() -> None:
    ratios = by_epoch(np.concatenate([np.full(10, 1e-3), np.full(10, 1e-9)]))
    assert not found("update_ratio", facts({"update_ratio/all": ratios}))
