"""Tests of the rules about data and predictions: each fires for its fault, not just below it."""

import numpy as np
import pytest

from expt.probes.doctor.facts import ConstantLosses, Facts
from probes.doctor.made_facts import (
    EVALUATIONS,
    NUM_STEPS,
    by_epoch,
    by_step,
    classes,
    facts,
    falling,
    found,
)

RULES = ("initial_loss", "unscaled_inputs", "constant_labels", "shuffled_labels", "ignored_classes")
TEN = [100] * 10


@pytest.mark.parametrize("rule", RULES)
def test_healthy_run_has_no_findings(rule: str) -> None:
    assert found(rule, facts(classes=classes(TEN, TEN, TEN), input_size=1.0)) is None


@pytest.mark.parametrize("rule", RULES)
def test_run_without_records_has_no_findings(rule: str) -> None:
    empty = by_step([])
    given = facts({"train/loss": empty, "val/loss": empty}, classes=classes(TEN, TEN, TEN))
    assert found(rule, given) is None


@pytest.mark.parametrize(("first", "fires"), [(5.5, False), (6.0, True)])
def test_large_first_loss_is_found(first: float, fires: bool) -> None:
    # 2.5 times log 10 is 5.8.
    finding = found("initial_loss", facts({"train/loss": by_step(falling(first, 0.1))}))
    assert (finding is not None) is fires


def test_large_first_loss_of_raw_targets_has_a_remedy() -> None:
    given = facts(
        {"train/loss": by_step(falling(30_000, 3_000))},
        {"data.standardize_targets": False},
        task="regression",
        constant_losses=ConstantLosses(2_500.0, 2_500.0, 2_500.0),
    )
    finding = found("initial_loss", given)
    assert finding is not None
    assert finding.remedy == "data.standardize_targets=true"
    assert finding.number == 12


@pytest.mark.parametrize(
    ("size", "fires"),
    [(None, False), (1.0, False), (9.0, False), (255.0, True), (0.02, False), (0.001, True)],
)
def test_unscaled_inputs_are_found(size: float | None, fires: bool) -> None:
    finding = found("unscaled_inputs", facts(input_size=size))
    assert (finding is not None) is fires
    if finding is not None:
        assert finding.remedy == "data.standardize=true"


def test_constant_labels_are_found() -> None:
    finding = found("constant_labels", facts(classes=classes([0, 90, 0], [0, 20, 0])))
    assert finding is not None
    assert "class b" in finding.message
    assert not found("constant_labels", facts(classes=classes([1, 90], [0, 20])))


def test_constant_targets_of_a_regression_are_found() -> None:
    assert found("constant_labels", facts(task="regression", target_deviation=0.0))
    assert not found("constant_labels", facts(task="regression", target_deviation=0.1))


def memorized(val: float, accuracy: float = 0.1) -> Facts:
    columns = {
        "train/loss": by_step(falling(2.3, 0.5)),
        "val/loss": by_epoch(np.full(len(EVALUATIONS), val)),
        "val/accuracy": by_epoch(np.full(len(EVALUATIONS), accuracy)),
    }
    return facts(columns, classes=classes(TEN, TEN, TEN))


def test_memorized_labels_are_found() -> None:
    assert found("shuffled_labels", memorized(3.0))
    assert not found("shuffled_labels", memorized(2.0))
    assert not found("shuffled_labels", memorized(3.0, accuracy=0.2))


def test_shuffled_labels_are_found_before_they_are_memorized() -> None:
    flat = {
        "train/loss": by_step(np.full(NUM_STEPS, 2.3)),
        "val/loss": by_epoch(np.full(len(EVALUATIONS), 2.3)),
    }
    assert not found("shuffled_labels", facts(flat))
    moving = {"update_ratio/all": by_epoch(np.full(20, 1e-3))}
    assert found("shuffled_labels", facts({**flat, **moving}))
    still = {"update_ratio/all": by_epoch(np.full(20, 1e-6))}
    assert not found("shuffled_labels", facts({**flat, **still}))


def test_class_that_is_never_predicted_is_found() -> None:
    given = facts(classes=classes([500, 20, 500], [100, 4, 100], [110, 0, 94]))
    finding = found("ignored_classes", given)
    assert finding is not None
    assert "never predicts class b, which 4 of 204" in finding.message
    assert finding.remedy == "loss.class_weights=balanced"


def test_class_with_two_validation_examples_is_not_judged() -> None:
    given = facts(classes=classes([500, 20, 500], [100, 2, 100], [108, 0, 94]))
    assert found("ignored_classes", given) is None


def test_balanced_weights_are_not_advised_for_a_frequent_class() -> None:
    given = facts(classes=classes([500, 400, 500], [100, 80, 100], [180, 0, 100]))
    finding = found("ignored_classes", given)
    assert finding is not None
    assert finding.remedy is None


def test_run_without_predictions_has_no_ignored_classes() -> None:
    assert found("ignored_classes", facts(classes=classes([500, 20], [100, 4]))) is None
