import functools
from typing import Any

import pytest
import tensorflow as tf

from expt.parts import metrics
from expt.train.compilation import compile_function
from expt.train.objective import (
    measure,
    takes_weights,
    with_log_odds,
    with_targets_cast,
)


def plain(targets: Any, outputs: Any) -> Any:
    return tf.reduce_mean(targets - outputs)


def of_options(targets: Any, outputs: Any, *, weights: Any) -> Any:
    """A metric whose argument `weights` has another meaning and is set by the config."""
    return tf.reduce_mean((targets - outputs) * weights)


def branching(targets: Any, outputs: Any, *, least: float = 0.0) -> Any:
    """A metric with a Python branch on a tensor, which needs AutoGraph."""
    if tf.reduce_mean(outputs) > least:
        outputs = targets
    return tf.reduce_mean(outputs)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.mae, True),
        (functools.partial(metrics.f1, average="micro"), True),
        (plain, False),
        (functools.partial(of_options, weights=2.0), False),
    ],
)
def test_takes_weights_is_true_for_metrics_with_the_argument(metric: Any, expected: bool) -> None:
    for function in (
        metric,
        with_targets_cast(metric),
        with_log_odds(with_targets_cast(metric), None),
    ):
        assert takes_weights(function) is expected


def test_measure_passes_weights_to_metrics_that_take_them() -> None:
    targets, outputs = tf.constant([[1.0], [2.0]]), tf.constant([[0.0], [0.0]])
    given = {"mae": with_targets_cast(metrics.mae), "mine": with_targets_cast(plain)}
    values = measure(given, targets, outputs, tf.constant([1.0, 3.0]))
    assert {name: float(value) for name, value in values.items()} == {"mae": 1.75, "mine": 1.5}
    values = measure(given, targets, outputs, None)
    assert {name: float(value) for name, value in values.items()} == {"mae": 1.5, "mine": 1.5}


@pytest.mark.parametrize("least", [0.0, 10.0])
def test_python_branches_on_tensors_are_compiled(least: float) -> None:
    """Also of partials, which bind the arguments in the config."""
    metric = with_targets_cast(functools.partial(branching, least=least))
    value = compile_function(metric, "graph")(tf.constant([2.0]), tf.constant([4.0]))
    assert float(value) == (2.0 if least == 0 else 4.0)
