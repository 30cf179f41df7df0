import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.location import options
from expt.errors import UserError
from expt.parts import schedules

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]
Rates = Callable[..., Array]
"""The rates of all steps 0 to T - 1, from T and an option's arguments, for a base rate of 1."""

FIXED = sorted(set(options("schedule")) - {"plateau"})


def half_cosine(share: Array) -> Array:
    """From 1 down to 0."""
    return np.asarray((1 + np.cos(np.pi * share)) / 2)


def step(total_steps: int, boundaries: list[float], factor: float) -> Array:
    rates = np.ones(total_steps)
    for boundary in boundaries:
        rates[max(1, round(boundary * total_steps)) :] *= factor
    return rates


def cosine(total_steps: int, final_fraction: float) -> Array:
    return np.asarray(
        final_fraction + (1 - final_fraction) * half_cosine(np.arange(total_steps) / total_steps)
    )


def linear(total_steps: int, final_fraction: float) -> Array:
    return np.linspace(1, final_fraction, total_steps, endpoint=False)


def after_warmup(decay: Rates, total_steps: int, warmup: float, final_fraction: float) -> Array:
    num_warmup_steps = round(warmup * total_steps)
    rise = np.linspace(0, 1, num_warmup_steps + 1)[1:]
    return np.concatenate([rise, decay(total_steps - num_warmup_steps, final_fraction)])


def one_cycle(
    total_steps: int, warmup: float, initial_fraction: float, final_fraction: float
) -> Array:
    peak = round(warmup * (total_steps - 1))
    if total_steps == 1:
        return np.ones(1)
    falling = final_fraction + (1 - final_fraction) * half_cosine(
        np.linspace(0, 1, total_steps - peak)
    )
    rising = 1 - (1 - initial_fraction) * half_cosine(np.linspace(0, 1, peak + 1))
    return np.concatenate([rising[:-1], falling])


def restarts(
    total_steps: int, num_cycles: int, cycle_growth: float, decay: float, final_fraction: float
) -> Array:
    lengths = np.array([cycle_growth**cycle for cycle in range(num_cycles)])
    ends = np.round(total_steps * np.cumsum(lengths) / lengths.sum()).astype(int)
    lengths = np.diff(ends, prepend=0)
    cycles = [cosine(length, final_fraction) for length in lengths if length > 0]
    return np.concatenate([decay**cycle * rates for cycle, rates in enumerate(cycles)])


REFERENCES: dict[str, Rates] = {
    "constant": np.ones,
    "cosine": cosine,
    "cosine_warmup": functools.partial(after_warmup, cosine),
    "exponential": lambda total_steps, final_fraction: np.geomspace(
        1, final_fraction if total_steps > 1 else 1, total_steps
    ),
    "linear_warmup": functools.partial(after_warmup, linear),
    "one_cycle": one_cycle,
    "restarts": restarts,
    "step": step,
}
ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    *((option, {}) for option in FIXED),
    ("cosine", {"final_fraction": 0.1}),
    ("cosine", {"final_fraction": 1.0}),
    ("cosine_warmup", {"warmup": 0.0, "final_fraction": 0.2}),
    ("cosine_warmup", {"warmup": 0.5, "final_fraction": 0.01}),
    ("exponential", {"final_fraction": 0.5}),
    ("linear_warmup", {"warmup": 0.33, "final_fraction": 0.2}),
    ("linear_warmup", {"warmup": 1.0}),
    ("one_cycle", {"warmup": 0.0}),
    ("one_cycle", {"warmup": 0.5, "initial_fraction": 0.3, "final_fraction": 0.0}),
    ("restarts", {"num_cycles": 1}),
    ("restarts", {"num_cycles": 3, "cycle_growth": 2.0, "decay": 0.5, "final_fraction": 0.1}),
    ("restarts", {"num_cycles": 7, "cycle_growth": 0.8}),
    ("step", {"boundaries": [0.1, 0.3, 1.0], "factor": 0.5}),
    ("step", {"boundaries": [0.0], "factor": 3.0}),
]


def rates_of(schedule: Any, total_steps: int) -> Array:
    """The rates that the optimizer reads at each step of a run; a schedule may be a number."""
    if isinstance(schedule, float):
        return np.full(total_steps, schedule)
    return np.array([float(schedule(number)) for number in range(total_steps)])


@pytest.mark.parametrize("total_steps", [1, 2, 3, 10, 97])
@pytest.mark.parametrize(("option", "arguments"), ARGUMENTS, ids=str)
def test_every_step(
    conf_part: ConfPart, option: str, arguments: dict[str, Any], total_steps: int
) -> None:
    assert option in REFERENCES, f"add the rates of conf/schedule/{option}.yaml to REFERENCES"
    make = functools.partial(conf_part(f"schedule/{option}"), **arguments)
    schedule = make(learning_rate=0.3, total_steps=total_steps)
    expected = 0.3 * REFERENCES[option](total_steps, **make.keywords)
    assert len(expected) == total_steps
    np.testing.assert_allclose(rates_of(schedule, total_steps), expected, rtol=1e-4, atol=1e-8)


# The rates of the first and last step of a run of 200, as documented.
@pytest.mark.parametrize(
    ("option", "first", "last"),
    [
        ("constant", 1, 1),
        ("step", 1, 0.01),
        ("exponential", 1, 0.01),
        ("cosine", 1, 6.2e-5),
        ("cosine_warmup", 0.05, 7.6e-5),
        ("linear_warmup", 0.05, 1 / 180),
        ("one_cycle", 0.04, 4e-6),
        ("restarts", 1, 0.00099),
        ("plateau", 1, 1),
    ],
)
def test_first_and_last_step(conf_part: ConfPart, option: str, first: float, last: float) -> None:
    schedule = conf_part(f"schedule/{option}")(learning_rate=1.0, total_steps=200)
    rates = rates_of(schedule, 200)
    assert rates[[0, -1]] == pytest.approx([first, last], rel=0.02)
    assert rates.max() == pytest.approx(1)
    assert rates.min() > 0, "an idle step"


# The rate of any step t ≥ T, as a fraction of the base rate, for the yaml's arguments.
BEYOND: dict[str, Callable[[Array, int], Array]] = {
    "constant": lambda t, _: np.ones(len(t)),
    "cosine": lambda t, _: np.zeros(len(t)),
    "cosine_warmup": lambda t, _: np.zeros(len(t)),
    "exponential": lambda t, total_steps: 0.01 ** (t / (total_steps - 1)),
    "linear_warmup": lambda t, _: np.zeros(len(t)),
    "one_cycle": lambda t, _: np.full(len(t), 4e-6),
    "plateau": lambda t, _: np.ones(len(t)),
    "restarts": lambda t, _: np.zeros(len(t)),
    "step": lambda t, _: np.full(len(t), 0.01),
}


@pytest.mark.parametrize("option", options("schedule"))
def test_rates_after_the_last_step(conf_part: ConfPart, option: str) -> None:
    assert option in BEYOND, f"add the rates of conf/schedule/{option}.yaml beyond a run to BEYOND"
    schedule = conf_part(f"schedule/{option}")(learning_rate=0.3, total_steps=50)
    steps = np.array([50, 51, 75, 1000])
    found = [float(schedule(t)) if callable(schedule) else schedule for t in steps]
    np.testing.assert_allclose(found, 0.3 * BEYOND[option](steps, 50), rtol=1e-4, atol=1e-9)


def chained(total_steps: int, factor_of: Callable[[int], float]) -> Array:
    """The recursive form of PyTorch's schedulers: the rate is the last one's times a factor."""
    rates = [1.0]
    for step in range(1, total_steps):
        rates.append(rates[-1] * factor_of(step))
    return np.array(rates)


def cosine_annealing(step: int, t_max: int, least: float) -> float:
    """The recursive form in the documentation of PyTorch's `CosineAnnealingLR`, of a rate of 1."""
    rate = 1.0
    for t in range(1, step + 1):
        ratio = (1 + np.cos(np.pi * t / t_max)) / (1 + np.cos(np.pi * (t - 1) / t_max))
        rate = least + (rate - least) * ratio
    return rate


def annealed(first: float, last: float, share: float) -> float:
    """`_annealing_cos` of PyTorch's `OneCycleLR`."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


PYTORCHS: dict[str, tuple[dict[str, Any], Callable[[int], Array]]] = {
    # MultiStepLR(milestones=[20, 30], gamma=0.1)
    "step": ({}, lambda n: chained(n, lambda t: 0.1 if t in (20, 30) else 1.0)),
    # ExponentialLR(gamma=0.01 ** (1 / 39))
    "exponential": ({}, lambda n: chained(n, lambda _: 0.01 ** (1 / (n - 1)))),
    # CosineAnnealingLR(T_max=40, eta_min=0.1)
    "cosine": (
        {"final_fraction": 0.1},
        lambda n: np.array([cosine_annealing(t, n, 0.1) for t in range(n)]),
    ),
    # CosineAnnealingWarmRestarts(T_0=10)
    "restarts": (
        {},
        lambda n: np.array([(1 + np.cos(np.pi * (t % 10) / 10)) / 2 for t in range(n)]),
    ),
    # LambdaLR of transformers' get_linear_schedule_with_warmup, one step ahead while it rises
    "linear_warmup": (
        {"warmup": 0.25},
        lambda n: np.array([(t + 1) / 10 if t < 10 else (n - t) / (n - 10) for t in range(n)]),
    ),
    # OneCycleLR with the peak at a whole step
    "one_cycle": (
        {"warmup": 1 / 3},
        lambda n: np.array(
            [annealed(0.04, 1, t / 13) for t in range(13)]
            + [annealed(1, 4e-6, (t - 13) / (n - 14)) for t in range(13, n)]
        ),
    ),
}


@pytest.mark.parametrize("option", PYTORCHS)
def test_rates_equal_those_of_pytorch(conf_part: ConfPart, option: str) -> None:
    arguments, rates = PYTORCHS[option]
    make = functools.partial(conf_part(f"schedule/{option}"), **arguments)
    found = rates_of(make(learning_rate=0.3, total_steps=40), 40)
    np.testing.assert_allclose(found, 0.3 * rates(40), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("total_steps", [1, 2, 50])
@pytest.mark.parametrize("option", options("schedule"))
def test_steps_after_the_last(conf_part: ConfPart, option: str, total_steps: int) -> None:
    schedule = conf_part(f"schedule/{option}")(learning_rate=0.1, total_steps=total_steps)
    if not isinstance(schedule, float):
        after = [float(schedule(step)) for step in (total_steps, total_steps + 1, 10**7)]
        assert all(0 <= later < 0.100001 for later in after)
        assert after == sorted(after, reverse=True)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("option", sorted(set(options("schedule")) - {"constant"}))
def test_compiled_schedule_equals_eager_schedule(
    conf_part: ConfPart, option: str, jit_compile: bool
) -> None:
    schedule = conf_part(f"schedule/{option}")(learning_rate=0.1, total_steps=20)
    # Keras passes its own variable of the steps done.
    iterations = keras.Variable(0, dtype="int64", trainable=False)

    @tf.function(jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def read() -> tf.Tensor:
        return tf.cast(schedule(iterations), tf.float32)

    rates = []
    for number in range(20):
        iterations.assign(number)
        rates.append(float(read()))
    np.testing.assert_allclose(rates, rates_of(schedule, 20), rtol=1e-5, atol=1e-8)
    assert read.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("option", sorted(set(options("schedule")) - {"constant"}))
def test_optimizer_can_be_rebuilt_from_its_config(conf_part: ConfPart, option: str) -> None:
    schedule = conf_part(f"schedule/{option}")(learning_rate=0.1, total_steps=20)
    config = keras.optimizers.SGD(schedule).get_config()
    again = keras.optimizers.SGD.from_config(dict(config))
    assert float(again.learning_rate) == float(schedule(0))
    assert again.get_config() == config


@pytest.mark.parametrize("option", options("schedule"))
def test_integer_learning_rate_is_accepted(conf_part: ConfPart, option: str) -> None:
    # As from `optimizer.learning_rate=1`.
    make = conf_part(f"schedule/{option}")
    optimizer = keras.optimizers.SGD(make(learning_rate=1, total_steps=30))
    expected = make(learning_rate=1.0, total_steps=30)
    assert float(optimizer.learning_rate) == rates_of(expected, 1)[0]
    assert optimizer.learning_rate.dtype == "float32"


@pytest.mark.parametrize(
    ("option", "key", "value", "message"),
    [
        *(
            (option, "final_fraction", value, "from 0 to 1")
            for option in ("cosine", "cosine_warmup", "linear_warmup", "one_cycle", "restarts")
            for value in (-0.1, 1.1, float("nan"), "half", None, True)
        ),
        ("exponential", "final_fraction", 0, "above 0"),
        ("exponential", "final_fraction", 1.5, "from 0 to 1"),
        ("cosine_warmup", "warmup", 1.5, "from 0 to 1"),
        ("linear_warmup", "warmup", -1, "from 0 to 1"),
        ("one_cycle", "warmup", 2, "from 0 to 1"),
        ("one_cycle", "initial_fraction", 2, "from 0 to 1"),
        ("step", "boundaries", [0.5, 1.5], "fractions of the run in ascending order"),
        ("step", "boundaries", [-0.5, 0.5], "ascending order"),
        ("step", "boundaries", [0.75, 0.5], "ascending order"),
        ("step", "boundaries", [0.5, 0.5], "ascending order"),
        ("step", "boundaries", [], "ascending order"),
        ("step", "boundaries", 0.5, "ascending order"),
        ("step", "boundaries", ["half"], "ascending order"),
        ("step", "factor", 0, "above 0"),
        ("step", "factor", -1.0, "above 0"),
        ("step", "factor", float("inf"), "above 0"),
        ("restarts", "num_cycles", 0, "whole number of at least 1"),
        ("restarts", "num_cycles", 1.5, "whole number of at least 1"),
        ("restarts", "cycle_growth", 0, "above 0"),
        ("restarts", "decay", -0.5, "above 0"),
        ("plateau", "factor", 0, "above 0"),
        ("plateau", "factor", 1.5, "from 0 to 1"),
        ("plateau", "patience", 0, "whole number of at least 1"),
        ("plateau", "patience", 2.5, "whole number of at least 1"),
        ("plateau", "min_change", -0.1, "at least 0"),
        ("plateau", "min_change", "much", "at least 0"),
        ("plateau", "least_fraction", 1.1, "from 0 to 1"),
    ],
)
def test_invalid_arguments_are_refused(
    conf_part: ConfPart, option: str, key: str, value: object, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        conf_part(f"schedule/{option}")(learning_rate=0.1, total_steps=10, **{key: value})
    assert str(caught.value).startswith(f"schedule.{key}={value}: expected ")
    assert message in str(caught.value)


def test_plateau_lowers_the_rate_at_the_evaluation_that_ends_its_patience() -> None:
    schedule = schedules.plateau(0.8, 100, factor=0.5, patience=3, min_change=0.1)
    considered = {
        5.0: 0.8,  # the first value is the best
        4.0: 0.8,
        3.95: 0.8,  # not better by more than 0.1
        4.1: 0.8,
        3.91: 0.4,  # the third in a row
        4.2: 0.4,  # the count has started anew
        4.3: 0.4,
        3.8: 0.4,  # better than 4.0 by more than 0.1
        3.81: 0.4,
        3.82: 0.4,
        3.83: 0.2,
    }
    found = {}
    for value in considered:
        schedule.consider(value, larger_is_better=False)
        found[value] = float(schedule(0))
    assert found == pytest.approx(considered)


@pytest.mark.parametrize("larger_is_better", [False, True])
def test_plateau_follows_the_direction_of_the_metric(larger_is_better: bool) -> None:
    schedule = schedules.plateau(1.0, 100, factor=0.1, patience=2, min_change=0.0)
    rates = []
    for value in [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.3]:
        schedule.consider(value, larger_is_better=larger_is_better)
        rates.append(float(schedule(0)))
    # Rising values are no improvement where smaller is better.
    expected = [1, 1, 1, 1, 1, 0.1, 0.1] if larger_is_better else [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("larger_is_better", [False, True])
@pytest.mark.parametrize("value", [0.1, 0.7])  # float32 rounds one up and the other down
def test_equal_value_is_no_improvement(value: float, larger_is_better: bool) -> None:
    schedule = schedules.plateau(1.0, 100, factor=0.5, patience=1, min_change=0.0)
    for _ in range(2):
        schedule.consider(value, larger_is_better=larger_is_better)
    assert float(schedule(0)) == 0.5


def test_plateau_has_a_lower_bound() -> None:
    schedule = schedules.plateau(0.5, 100, factor=0.1, patience=1, least_fraction=0.05)
    rates = []
    for _ in range(4):
        schedule.consider(1.0, larger_is_better=True)
        rates.append(float(schedule(0)))
    assert rates == pytest.approx([0.5, 0.05, 0.025, 0.025])


def test_plateau_counts_nan_as_no_improvement() -> None:
    schedule = schedules.plateau(1.0, 100, factor=0.5, patience=2)
    for value in [float("nan"), 1.0, float("nan"), float("inf")]:
        schedule.consider(value, larger_is_better=False)
    assert float(schedule(0)) == 0.5


def test_state_of_a_plateau_is_in_its_variables() -> None:
    values = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 1.0, 1.1, 1.2]
    for cut in range(len(values)):
        whole, first, second = (schedules.plateau(0.1, 9, patience=2) for _ in range(3))
        for value in values:
            whole.consider(value, larger_is_better=False)
        for value in values[:cut]:
            first.consider(value, larger_is_better=False)
        for old, new in zip(first.variables, second.variables, strict=True):
            new.assign(old.numpy())
        for value in values[cut:]:
            second.consider(value, larger_is_better=False)
        assert [v.numpy() for v in second.variables] == [v.numpy() for v in whole.variables]
    assert not any(variable.trainable for variable in whole.variables)
    assert [variable.dtype for variable in whole.variables] == ["float32", "float32", "int32"]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_step_reads_the_plateau_without_retracing(jit_compile: bool) -> None:
    schedule = schedules.plateau(0.5, 10, factor=0.1, patience=1)
    optimizer = keras.optimizers.SGD(schedule)
    variable = keras.Variable(0.0)
    optimizer.build([variable])

    @tf.function(jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def descend() -> None:
        optimizer.apply([tf.constant(-1.0)], [variable])

    descend()
    assert float(variable) == pytest.approx(0.5)
    schedule.consider(1.0, larger_is_better=False)
    schedule.consider(1.0, larger_is_better=False)
    descend()
    assert float(variable) == pytest.approx(0.55)
    assert descend.experimental_get_tracing_count() == 1
