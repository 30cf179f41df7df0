"""Tests of the rules about loss curves: each fires for its fault, but not just below it."""

import numpy as np
import pytest

from expt.probes.doctor.facts import ConstantLosses
from expt.probes.doctor.series import Series
from probes.doctor.made_facts import (
    EVALUATIONS,
    NUM_STEPS,
    by_epoch,
    by_step,
    facts,
    falling,
    found,
)

RULES = (
    *("non_finite_loss", "unstable_loss", "beyond_stability", "not_learning"),
    *("not_converged", "overfitting"),
)


@pytest.mark.parametrize("rule", RULES)
def test_healthy_run_has_no_findings(rule: str) -> None:
    assert found(rule, facts()) is None


@pytest.mark.parametrize("rule", RULES)
def test_run_without_records_has_no_findings(rule: str) -> None:
    empty = by_step([])
    assert found(rule, facts({"train/loss": empty, "val/loss": empty})) is None


def test_non_finite_loss_is_found() -> None:
    finding = found("non_finite_loss", facts({"train/loss": by_step([2.0, 7.0, np.inf])}))
    assert finding is not None
    assert (finding.step, finding.number) == (3, 7.0)
    assert finding.remedy == "optimizer.learning_rate=0.01"


def test_non_finite_loss_of_a_gan_is_found() -> None:
    assert found("non_finite_loss", facts({"train/generator_loss": by_step([1.0, np.nan])}))


def test_rising_loss_is_found() -> None:
    rising = np.linspace(2.3, 20, NUM_STEPS)
    finding = found("unstable_loss", facts({"train/loss": by_step(rising)}))
    assert finding is not None
    assert finding.number == pytest.approx(8, rel=0.2)
    assert finding.step == NUM_STEPS
    assert finding.message.startswith("train/loss rises from at most 2.3 to ")


def test_jump_above_the_loss_of_an_untrained_model_is_found() -> None:
    losses = falling(1.0, 0.1)  # starts below log 10
    losses[200] = 8.0
    finding = found("unstable_loss", facts({"train/loss": by_step(losses)}))
    assert finding is not None
    assert finding.step == 201
    assert finding.message.startswith("train/loss jumps from at most 2.3 to 8 ")


def test_swinging_loss_is_found() -> None:
    period = np.sin(np.arange(NUM_STEPS) * 2 * np.pi / 50)
    assert found("unstable_loss", facts({"train/loss": by_step(1.0 + 0.9 * period)}))
    assert not found("unstable_loss", facts({"train/loss": by_step(1.0 + 0.1 * period)}))


def test_loss_of_constant_targets_is_not_unstable() -> None:
    # The loss of the best constant prediction is 0, and so may be that of the first step.
    constant = ConstantLosses(0.0, 0.0, 0.0)
    for first in (0.0, 1.0):
        losses = by_step(np.r_[first, np.zeros(NUM_STEPS - 1)])
        assert not found("unstable_loss", facts({"train/loss": losses}, constant_losses=constant))


def test_noise_of_batches_is_not_unstable() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, NUM_STEPS)
    assert not found("unstable_loss", facts({"train/loss": by_step(falling(2.3, 0.5) + noise)}))


def test_short_run_is_not_judged() -> None:
    rising = by_step(np.linspace(2.3, 20, 50))
    assert not found("unstable_loss", facts({"train/loss": rising}))
    assert not found("not_learning", facts({"train/loss": by_step(np.full(50, 2.3))}))


@pytest.mark.parametrize(("eigenvalue", "fires"), [(39.0, False), (41.0, True)])
def test_learning_rate_beyond_stability_is_found(eigenvalue: float, fires: bool) -> None:
    # With a learning rate of 0.1, steps diverge beyond 20; twice as much is tolerated.
    columns = {"curvature/largest_eigenvalue": by_epoch([eigenvalue, 1.0])}
    finding = found("beyond_stability", facts(columns))
    assert (finding is not None) is fires
    if finding is not None:
        assert finding.remedy == "optimizer.learning_rate=0.02"
        assert "up to a learning rate of 0.049; optimizer.learning_rate is 0.1" in finding.message
    # With momentum, gradient descent is stable up to a larger learning rate.
    assert not found("beyond_stability", facts(columns, {"optimizer.momentum": 0.9}))
    assert not found("beyond_stability", facts(columns, {"optimizer": "adam"}))


@pytest.mark.parametrize(("last", "fires"), [(2.28, True), (2.2, False)])
def test_loss_at_chance_is_found(last: float, fires: bool) -> None:
    given = facts({"train/loss": by_step(np.linspace(2.31, last, NUM_STEPS))})
    assert (found("not_learning", given) is not None) is fires


def test_run_that_learns_nothing_is_advised_to_use_probes() -> None:
    flat = {"train/loss": by_step(np.full(NUM_STEPS, 2.303))}
    finding = found("not_learning", facts(flat))
    assert finding is not None
    assert finding.remedy == "probe=[gradients,activations]"
    probed = found("not_learning", facts({**flat, "gradient_norm/dense": by_epoch([1.0, 1.0])}))
    assert probed is not None
    assert probed.remedy is None


def test_run_is_not_judged_if_the_loss_at_chance_is_unknown() -> None:
    flat = {"train/loss": by_step(np.full(NUM_STEPS, 2.3))}
    assert not found("not_learning", facts(flat, constant_losses=None))


def test_falling_loss_at_the_end_is_found() -> None:
    line = by_epoch(np.linspace(2.2, 0.5, len(EVALUATIONS)))
    finding = found("not_converged", facts({"val/loss": line}))
    assert finding is not None
    assert finding.number == pytest.approx(0.25, abs=0.02)
    assert finding.remedy == "loop.epochs=60"
    steps = facts({"val/loss": line}, {"loop.steps": 400})
    assert (again := found("not_converged", steps)) is not None
    assert again.remedy == "loop.steps=1200"


def test_plateau_at_chance_is_not_called_not_converged() -> None:
    line = by_epoch(np.linspace(2.303, 2.29, len(EVALUATIONS)))
    assert not found("not_converged", facts({"val/loss": line}))


def test_few_evaluations_are_not_judged() -> None:
    line = by_epoch(np.linspace(2.2, 0.5, 7))
    assert not found("not_converged", facts({"val/loss": line}))


def overfitted(rise: float) -> dict[str, Series]:
    count = len(EVALUATIONS)
    risen = np.where(np.arange(count) < 5, np.linspace(2.3, 0.8, count), 1.0)
    risen[5:] = np.linspace(1.0, 1.0 + rise, count - 5)
    return {
        "val/loss": by_epoch(risen),
        "train/loss": by_step(np.linspace(2.3, 0.01, NUM_STEPS)),
    }


def test_overfitting_is_found() -> None:
    finding = found("overfitting", facts(overfitted(1.0)))
    assert finding is not None
    assert finding.step == 120
    assert finding.remedy == "model.dropout=0.3"
    assert not found("overfitting", facts(overfitted(0.1)))


def test_rise_of_both_losses_is_not_overfitting() -> None:
    rising = {**overfitted(1.0), "train/loss": by_step(np.linspace(0.1, 3.0, NUM_STEPS))}
    assert not found("overfitting", facts(rising))


def test_training_loss_above_that_of_validation_is_not_overfitting() -> None:
    # As with much dropout, which is off in validation.
    above = {**overfitted(1.0), "train/loss": by_step(np.linspace(5.0, 2.5, NUM_STEPS))}
    assert not found("overfitting", facts(above))


def test_overfitting_with_dropout_is_advised_to_stop_early() -> None:
    finding = found("overfitting", facts(overfitted(1.0), {"model.dropout": 0.2}))
    assert finding is not None
    assert finding.remedy == "loop.patience=5"


def test_overfitting_from_a_loss_of_zero_has_a_finite_number() -> None:
    loss = by_epoch([0.0] * 10 + [1.0] * 10)
    finding = found("overfitting", facts({**overfitted(1.0), "val/loss": loss}))
    assert finding is not None
    assert np.isfinite(finding.number)
