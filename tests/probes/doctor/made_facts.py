"""Facts about made-up runs, for tests of the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.probes.doctor.facts import Classes, ConstantLosses, Facts
from expt.probes.doctor.findings import Finding
from expt.probes.doctor.rules import RULES
from expt.probes.doctor.series import Series

STEPS_PER_EPOCH = 20
NUM_STEPS = 400
EVALUATIONS = np.arange(STEPS_PER_EPOCH, NUM_STEPS + 1, STEPS_PER_EPOCH, dtype=float)
PARAMS = {
    "act": "relu",
    "optimizer": "sgd",
    "optimizer.learning_rate": 0.1,
    "optimizer.global_clipnorm": None,
    "data.standardize": False,
    "loss.class_weights": None,
    "model.dropout": 0.0,
    "loop.epochs": 20,
    "loop.steps": None,
}


def by_step(values: Sequence[float] | NDArray[np.floating[Any]]) -> Series:
    """Returns a series with a value for each step from 1."""
    return Series(np.arange(1.0, len(values) + 1), np.asarray(values, np.float64))


def by_epoch(values: Sequence[float] | NDArray[np.floating[Any]]) -> Series:
    """Returns a series with a value for each evaluation."""
    return Series(EVALUATIONS[: len(values)], np.asarray(values, np.float64))


def falling(start: float, end: float, count: int = NUM_STEPS) -> NDArray[np.float64]:
    """Returns values that fall exponentially from a start, and reach the end after a third."""
    return end + (start - end) * np.exp(-np.arange(count) / (count / 20))


def classes(
    of_train: Sequence[int], of_validation: Sequence[int], predicted: Sequence[int] | None = None
) -> Classes:
    """Returns classes named a, b, …"""
    return Classes(
        names=tuple("abcdefghij"[: len(of_train)]),
        of_train=np.array(of_train),
        of_validation=np.array(of_validation),
        predicted=None if predicted is None else np.array(predicted),
    )


def facts(
    columns: Mapping[str, Series] | None = None,
    params: Mapping[str, Any] | None = None,
    **values: Any,
) -> Facts:
    """Returns the facts about a healthy run with ten classes, changed by the arguments."""
    healthy = {
        "train/loss": by_step(falling(2.3, 0.1)),
        "val/loss": by_epoch(falling(2.3, 0.15, len(EVALUATIONS))),
        "train/grad_norm": by_step(np.full(NUM_STEPS, 1.0)),
    }
    known: dict[str, Any] = {
        "steps_per_epoch": STEPS_PER_EPOCH,
        "constant_losses": ConstantLosses(*3 * [float(np.log(10))]),
        **values,
    }
    return Facts(
        params={**PARAMS, **(params or {})}, columns={**healthy, **(columns or {})}, **known
    )


def found(rule: str, given: Facts) -> Finding | None:
    """Returns the finding of a rule, and asserts that it bears the name of the rule."""
    findings = list(RULES[rule](given))
    assert len(findings) <= 1
    assert all(finding.rule == rule for finding in findings)
    return findings[0] if findings else None
