import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray

from expt.config.location import config_directory, options
from expt.parts import losses, metrics, schedules
from expt.parts.models.dense import linear
from expt.train.input.batch import Batch
from expt.train.step import make_train_step

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]
Update = Callable[[Array, Array, float], Array]
"""The rule of one variable: new weights from weights, gradient and learning rate."""

COMMON = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum")
"""Arguments that every optimizer has besides those of its rule."""


def sgd() -> Update:
    """θ ← θ - α g."""
    return lambda theta, gradient, rate: theta - rate * gradient


def with_momentum(momentum: float) -> Update:
    """v ← μ v - α g; θ ← θ + v."""
    velocity = np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal velocity
        velocity = momentum * velocity - rate * gradient
        return theta + velocity

    return update


def with_nesterov(momentum: float, nesterov: bool) -> Update:
    """v ← μ v - α g; θ ← θ + μ v - α g. I. Sutskever et al., 2013, in the form of section 7.2 of
    Y. Bengio et al., "Advances in optimizing recurrent networks", arXiv:1212.0901."""
    assert nesterov
    velocity = np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal velocity
        velocity = momentum * velocity - rate * gradient
        return theta + momentum * velocity - rate * gradient

    return update


def rmsprop(rho: float, momentum: float, epsilon: float, centered: bool) -> Update:
    """T. Tieleman, G. Hinton, 2012; centred and with momentum as A. Graves, arXiv:1308.0850,
    equations 38 to 41. ε is under the root."""
    square, mean, velocity = np.zeros(1), np.zeros(1), np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal square, mean, velocity
        square = rho * square + (1 - rho) * gradient**2
        mean = rho * mean + (1 - rho) * gradient
        variance = square - mean**2 if centered else square
        velocity = momentum * velocity + rate * gradient / np.sqrt(variance + epsilon)
        return theta - velocity

    return update


def adagrad(initial_accumulator_value: float, epsilon: float) -> Update:
    """J. Duchi et al., "Adaptive Subgradient Methods", 2011, with ε under the root."""
    total = np.full(1, initial_accumulator_value)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal total
        total = total + gradient**2
        return theta - rate * gradient / np.sqrt(total + epsilon)

    return update


def adadelta(rho: float, epsilon: float) -> Update:
    """M. Zeiler, "ADADELTA", arXiv:1212.5701, algorithm 1, with a learning rate."""
    gradients, changes = np.zeros(1), np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal gradients, changes
        gradients = rho * gradients + (1 - rho) * gradient**2
        change = -np.sqrt(changes + epsilon) / np.sqrt(gradients + epsilon) * gradient
        changes = rho * changes + (1 - rho) * change**2
        return theta + rate * change

    return update


def adam(beta_1: float, beta_2: float, epsilon: float, amsgrad: bool = False) -> Update:
    """D. Kingma, J. Ba, "Adam", arXiv:1412.6980, with ε where the end of its section 2 has it.

    AMSGrad: S. Reddi et al., arXiv:1904.09237, algorithm 2.
    """
    first, second, largest, step = np.zeros(1), np.zeros(1), np.zeros(1), 0

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal first, second, largest, step
        step += 1
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        largest = np.maximum(largest, second)
        rate *= np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        return theta - rate * first / (np.sqrt(largest if amsgrad else second) + epsilon)

    return update


def nadam(beta_1: float, beta_2: float, epsilon: float) -> Update:
    """T. Dozat, "Incorporating Nesterov Momentum into Adam", 2016, algorithm 2.

    Its section on the momentum has μ_t = β₁ (1 - 0.96^(t / 250) / 2); Keras has no 250.
    """
    first, second, step = np.zeros(1), np.zeros(1), 0

    def momentum(number: int) -> float:
        return beta_1 * (1 - 0.96**number / 2)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal first, second, step
        step += 1
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        momenta = [momentum(number) for number in range(1, step + 2)]
        ahead = momenta[-1] * first / (1 - np.prod(momenta))
        ahead = ahead + (1 - momenta[-2]) * gradient / (1 - np.prod(momenta[:-1]))
        return theta - rate * ahead / (np.sqrt(second / (1 - beta_2**step)) + epsilon)

    return update


def adamax(beta_1: float, beta_2: float, epsilon: float) -> Update:
    """D. Kingma, J. Ba, "Adam", arXiv:1412.6980, algorithm 2, with ε added to the norm."""
    first, norm, step = np.zeros(1), np.zeros(1), 0

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal first, norm, step
        step += 1
        first = beta_1 * first + (1 - beta_1) * gradient
        norm = np.maximum(beta_2 * norm, np.abs(gradient))
        return theta - rate / (1 - beta_1**step) * first / (norm + epsilon)

    return update


def lion(beta_1: float, beta_2: float) -> Update:
    """X. Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675,
    algorithm 2."""
    first = np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal first
        direction = np.sign(beta_1 * first + (1 - beta_1) * gradient)
        first = beta_2 * first + (1 - beta_2) * gradient
        return theta - rate * direction

    return update


def ftrl(
    learning_rate_power: float,
    initial_accumulator_value: float,
    l1_regularization_strength: float,
    l2_regularization_strength: float,
    l2_shrinkage_regularization_strength: float,
    beta: float,
) -> Update:
    """H. McMahan et al., "Ad Click Prediction", 2013, algorithm 1.

    Keras' λ₂ is half of the paper's, and its shrinkage adds the gradient of λ θ² to z alone.
    """
    total, linear_term = np.full(1, initial_accumulator_value), np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal total, linear_term
        before, total = total, total + gradient**2
        root, root_before = total**-learning_rate_power, before**-learning_rate_power
        sigma = (root - root_before) / rate
        shrinkage = 2 * l2_shrinkage_regularization_strength * theta
        linear_term = linear_term + gradient + shrinkage - sigma * theta
        beyond = np.maximum(np.abs(linear_term) - l1_regularization_strength, 0)
        denominator = (beta + root) / rate + 2 * l2_regularization_strength
        return np.asarray(-np.sign(linear_term) * beyond / denominator)

    return update


def lamb(beta_1: float, beta_2: float, epsilon: float) -> Update:
    """Y. You et al., "Large Batch Optimization for Deep Learning", arXiv:1904.00962, algorithm 2,
    with φ the identity."""
    first, second, step = np.zeros(1), np.zeros(1), 0

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal first, second, step
        step += 1
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        direction = first / (1 - beta_1**step)
        direction = direction / (np.sqrt(second / (1 - beta_2**step)) + epsilon)
        norm, size = np.linalg.norm(theta), np.linalg.norm(direction)
        trust = norm / size if norm > 0 and size > 0 else 1.0
        return np.asarray(theta - rate * trust * direction)

    return update


def adafactor(
    beta_2_decay: float, epsilon_1: float, epsilon_2: float, clip_threshold: float
) -> Update:
    """N. Shazeer, M. Stern, "Adafactor", arXiv:1804.04235, algorithm 4 for matrices and 5 for
    vectors, with ρ_t = min(α, 1 / √t)."""
    rows, columns, second, step = np.zeros(1), np.zeros(1), np.zeros(1), 0

    def root_mean_square(values: Array) -> float:
        return float(np.sqrt((values**2).mean()))

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal rows, columns, second, step
        step += 1
        beta_2 = 1 - step**beta_2_decay
        square = gradient**2 + epsilon_1
        if theta.ndim == 2:
            rows = beta_2 * rows + (1 - beta_2) * square.sum(axis=1)
            columns = beta_2 * columns + (1 - beta_2) * square.sum(axis=0)
            second = np.outer(rows, columns) / rows.sum()
        else:
            second = beta_2 * second + (1 - beta_2) * square
        direction = gradient / np.sqrt(second)
        direction = direction / max(1.0, root_mean_square(direction) / clip_threshold)
        size = max(epsilon_2, root_mean_square(theta)) * min(rate, 1 / np.sqrt(step))
        return np.asarray(theta - size * direction)

    return update


def orthogonalized_momentum(
    momentum: float, nesterov: bool, ns_steps: int, rms_rate: float | None
) -> Update:
    """K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.

    The size of the update is that of J. Liu et al., "Muon is Scalable for LLM Training",
    arXiv:2502.16982, equation 4: 0.2 √max(rows, columns).
    """
    average = np.zeros(1)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        nonlocal average
        average = momentum * average + gradient
        direction = gradient + momentum * average if nesterov else average
        # The odd polynomial a s + b s³ + c s⁵ of the singular values s, applied repeatedly.
        left, values, right = np.linalg.svd(direction, full_matrices=False)
        values = values / np.linalg.norm(direction)
        for _ in range(ns_steps):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        scale = 1.0 if rms_rate is None else rms_rate * np.sqrt(max(theta.shape))
        return np.asarray(theta - rate * scale * (left * values) @ right)

    return update


def muon(
    adam_beta_1: float,
    adam_beta_2: float,
    epsilon: float,
    weight_decay: float | None,
    adam_weight_decay: float | None,
    adam_lr_ratio: float,
    exclude_layers: list[str],
    exclude_embeddings: bool,
    **numbers: Any,
) -> Update:
    """Orthogonalized momentum for matrices; Adam for vectors and excluded variables."""
    assert exclude_embeddings
    matrix_rule = decaying(orthogonalized_momentum(**numbers), weight_decay)
    other_rule = decaying(adam(adam_beta_1, adam_beta_2, epsilon), adam_weight_decay)

    def update(theta: Array, gradient: Array, rate: float) -> Array:
        if theta.ndim == 2 and not exclude_layers:
            return matrix_rule(theta, gradient, rate)
        assert adam_lr_ratio == 1
        return other_rule(theta, gradient, rate)

    return update


def decaying(update: Update, decay: float | None) -> Update:
    """θ ← θ - α λ θ before the rule. I. Loshchilov, F. Hutter, arXiv:1711.05101, algorithm 2."""
    return lambda theta, gradient, rate: update(
        theta - rate * (decay or 0.0) * theta, gradient, rate
    )


REFERENCES: dict[str, Callable[..., Update]] = {
    "adadelta": adadelta,
    "adafactor": adafactor,
    "adagrad": adagrad,
    "adam": adam,
    "adamax": adamax,
    "adamw": adam,
    "ftrl": ftrl,
    "lamb": lamb,
    "lion": lion,
    "momentum": with_momentum,
    "muon": muon,
    "nadam": nadam,
    "nesterov": with_nesterov,
    "rmsprop": rmsprop,
    "sgd": sgd,
}


def reference(option: str, optimizer: functools.partial[Any]) -> tuple[Callable[[], Update], float]:
    """Returns a factory of a variable's rule in NumPy, with the yaml's values, and its rate."""
    assert option in REFERENCES, f"add the rule of conf/optimizer/{option}.yaml to REFERENCES"
    numbers = {name: value for name, value in optimizer.keywords.items() if name not in COMMON}
    rate, decay = numbers.pop("learning_rate"), optimizer.keywords["weight_decay"]
    if option == "muon":
        return lambda: muon(weight_decay=decay, **numbers), rate
    return lambda: decaying(REFERENCES[option](**numbers), decay), rate


# f(θ) = Σ c θ² / 2 of a vector and two matrices. Some gradients are so small that ε matters.
CURVATURES = [
    np.array([1.0, 5.0, 1e-7]),
    np.array([[1.0, 0.1, 3.0], [2.0, 1e-7, 0.5]]),
    np.array([[4.0, 1.0], [1.0, 0.3], [1e-7, 2.0]]),
]
START = [
    np.array([1.0, -2.0, 3.0]),
    np.array([[0.5, -1.0, 2.0], [1.5, 1.0, -0.7]]),
    np.array([[1.0, 2.0], [-1.0, 0.2], [0.9, -0.4]]),
]

Scale = Callable[[int], float]
EVERY_OPTION = pytest.mark.parametrize("option", options("optimizer"))


def descend(optimizer: Any, steps: int, scale: Scale = lambda _: 1.0) -> list[Array]:
    """The weights after some steps, whose gradients are multiplied by `scale(step's number)`."""
    variables = [keras.Variable(theta, dtype="float32") for theta in START]
    optimizer.build(variables)
    for number in range(steps):
        gradients = [
            tf.constant(scale(number) * curvature, tf.float32) * variable.value
            for curvature, variable in zip(CURVATURES, variables, strict=True)
        ]
        optimizer.apply(gradients, variables)
    return [variable.numpy() for variable in variables]


def history(
    rule: Callable[[], Update],
    rate: float,
    steps: int,
    *,
    scale: Scale = lambda _: 1.0,
    clip: Callable[[list[Array]], list[Array]] = lambda gradients: gradients,
) -> list[list[Array]]:
    """The weights after each step of the rule in NumPy."""
    updates, weights, found = [rule() for _ in START], START, []
    for number in range(steps):
        gradients = [
            scale(number) * c * theta for c, theta in zip(CURVATURES, weights, strict=True)
        ]
        weights = [
            update(theta, gradient, rate)
            for update, theta, gradient in zip(updates, weights, clip(gradients), strict=True)
        ]
        found.append(weights)
    return found


def assert_equal(found: list[Array], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 50])
@EVERY_OPTION
def test_steps_on_quadratics(conf_part: ConfPart, option: str, steps: int) -> None:
    make = conf_part(f"optimizer/{option}")
    rule, rate = reference(option, make)
    assert_equal(descend(make(), steps), history(rule, rate, steps)[-1])


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("adam", {"amsgrad": True}),
        ("adamw", {"amsgrad": True, "weight_decay": 0.5}),
        ("adagrad", {"initial_accumulator_value": 0.5, "epsilon": 0.1}),
        ("adafactor", {"clip_threshold": 0.3, "epsilon_1": 0.1, "epsilon_2": 2.0}),
        ("ftrl", {"l1_regularization_strength": 0.01, "beta": 0.5}),
        ("ftrl", {"l2_regularization_strength": 0.3, "learning_rate_power": -0.7}),
        ("ftrl", {"l2_shrinkage_regularization_strength": 0.2}),
        ("muon", {"nesterov": False, "momentum": 0.8}),
        ("muon", {"rms_rate": None, "ns_steps": 3}),
        ("muon", {"exclude_layers": ["variable"], "adam_weight_decay": 0.3}),
        ("muon", {"weight_decay": 0.3, "adam_weight_decay": None}),
        ("rmsprop", {"centered": True}),
        ("rmsprop", {"momentum": 0.7, "rho": 0.5}),
    ],
    ids=str,
)
def test_arguments(conf_part: ConfPart, option: str, arguments: dict[str, Any]) -> None:
    make = functools.partial(conf_part(f"optimizer/{option}"), **arguments)
    rule, rate = reference(option, make)
    assert_equal(descend(make(), 6), history(rule, rate, 6)[-1])


@EVERY_OPTION
def test_common_keys_come_last_and_in_the_same_order(option: str) -> None:
    text = (config_directory() / "optimizer" / f"{option}.yaml").read_text(encoding="utf-8")
    decays = {"adamw": 0.004, "muon": 0.004}
    expected = {
        "weight_decay": decays.get(option),
        "decay_all": False,
        "clipnorm": None,
        "global_clipnorm": None,
        "clipvalue": None,
        "gradient_accumulation_steps": None,
        "use_ema": False,
        "ema_momentum": 0.99,
    }
    assert list(yaml.safe_load(text).items())[-len(expected) :] == list(expected.items())


@EVERY_OPTION
def test_zero_gradients_leave_weights_finite(conf_part: ConfPart, option: str) -> None:
    # Like those of a pixel that is always black, of a ReLU that is never active, and of both.
    gradient = np.outer([0.0, 0.1, 1.0], [0.0, 0.1, 1.0])
    variable = keras.Variable(np.ones([3, 3]), dtype="float32")
    optimizer = conf_part(f"optimizer/{option}")()
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
    assert np.isfinite(variable.numpy()).all()
    assert (variable.numpy()[1:, 1:] < 1).all()


def norm(*arrays: Array) -> float:
    return float(np.sqrt(sum((array**2).sum() for array in arrays)))


CLIPS: dict[str, Callable[[list[Array]], list[Array]]] = {
    "clipnorm": lambda arrays: [array * min(1, 0.7 / norm(array)) for array in arrays],
    "global_clipnorm": lambda arrays: [array * min(1, 0.7 / norm(*arrays)) for array in arrays],
    "clipvalue": lambda arrays: [np.clip(array, -0.7, 0.7) for array in arrays],
}


@pytest.mark.parametrize("argument", CLIPS)
@EVERY_OPTION
def test_clipping(conf_part: ConfPart, option: str, argument: str) -> None:
    make = conf_part(f"optimizer/{option}")
    rule, rate = reference(option, make)
    # The second step has gradients that need no clipping.
    scale = [1.0, 0.01, 1.0].__getitem__
    found = descend(make(**{argument: 0.7}), 3, scale)
    assert_equal(found, history(rule, rate, 3, scale=scale, clip=CLIPS[argument])[-1])


def test_only_one_kind_of_clipping_is_accepted(conf_part: ConfPart) -> None:
    with pytest.raises(ValueError, match="Only one of `clipnorm`"):
        conf_part("optimizer/adam")(clipnorm=1.0, clipvalue=1.0)


@EVERY_OPTION
def test_averages_of_the_weights(conf_part: ConfPart, option: str) -> None:
    make = conf_part(f"optimizer/{option}")
    rule, rate = reference(option, make)
    optimizer = make(use_ema=True, ema_momentum=0.8)
    weights = history(rule, rate, 4)
    assert_equal(descend(optimizer, 4), weights[-1])
    expected = weights[0]
    for later in weights[1:]:
        expected = [0.8 * a + 0.2 * b for a, b in zip(expected, later, strict=True)]
    averages = [v.numpy() for v in optimizer.variables if v.path.endswith("_average")]
    assert_equal(averages, expected)


@EVERY_OPTION
def test_weight_decay(conf_part: ConfPart, option: str) -> None:
    make = functools.partial(conf_part(f"optimizer/{option}"), weight_decay=0.5)
    rule, rate = reference(option, make)
    assert_equal(descend(make(), 3), history(rule, rate, 3)[-1])


@EVERY_OPTION
def test_compiled_step_equals_eager_step(conf_part: ConfPart, option: str) -> None:
    make = conf_part(f"optimizer/{option}")
    optimizer = make()
    variables = [keras.Variable(theta, dtype="float32") for theta in START]
    optimizer.build(variables)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def step() -> None:
        optimizer.apply(
            [
                tf.constant(c, tf.float32) * v.value
                for c, v in zip(CURVATURES, variables, strict=True)
            ]
        )

    step()
    step()
    assert_equal([variable.numpy() for variable in variables], descend(make(), 2))


CASES = [(option, schedules.constant) for option in options("optimizer")]
CASES += [(option, schedules.cosine) for option in ("sgd", "momentum", "adam")]


@pytest.mark.parametrize(("option", "schedule"), CASES)
def test_train_steps_of_linear_regression(
    conf_part: ConfPart, option: str, schedule: Callable[[float, int], Any]
) -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(16, 2))
    targets = inputs @ [[1.5], [-0.5]] + 0.3 + 0.1 * random.normal(size=(16, 1))
    theta = [random.normal(size=(2, 1)), random.normal(size=1)]

    total_steps = 20
    model = linear([2], 1, keras.layers.ReLU)
    model.set_weights(theta)
    make = conf_part(f"optimizer/{option}")
    optimizer = make(learning_rate=schedule(0.05, total_steps))
    optimizer.build(model.trainable_variables)
    step = tf.function(make_train_step(model, losses.mse, optimizer, {"mae": metrics.mae}))

    batch = Batch(tf.constant(inputs, tf.float32), tf.constant(targets, tf.float32))
    rule, _ = reference(option, make)
    updates = [rule(), rule()]
    for number in range(total_steps):
        scalars = step(batch)
        errors = inputs @ theta[0] + theta[1] - targets
        gradients = [2 * inputs.T @ errors / 16, 2 * errors.sum(axis=0) / 16]
        rate = 0.05
        if schedule is schedules.cosine:
            rate *= (1 + np.cos(np.pi * number / total_steps)) / 2
        # The values that a step reports are those before its update.
        expected = {
            "loss": (errors**2).mean(),
            "mae": np.abs(errors).mean(),
            "grad_norm": norm(*gradients),
            "learning_rate": rate,
        }
        assert {name: float(value) for name, value in scalars.items()} == pytest.approx(
            expected, rel=1e-3, abs=1e-5
        )
        theta = [u(t, g, rate) for u, t, g in zip(updates, theta, gradients, strict=True)]
        if number in (0, total_steps - 1):
            for learnt, weights in zip(model.get_weights(), theta, strict=True):
                np.testing.assert_allclose(learnt, weights, rtol=1e-4, atol=1e-5)


def test_train_step_adds_the_penalties_of_the_model() -> None:
    inputs = keras.Input([2])
    layer = keras.layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Model(inputs, layer(inputs))
    model.set_weights([np.array([[2.0], [1.0]])])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    scalars = make_train_step(model, losses.mse, optimizer, {})(
        Batch(tf.constant([[1.0, 0.0]]), tf.constant([[5.0]]))
    )
    assert float(scalars["loss"]) == pytest.approx((2 - 5) ** 2 + 0.1 * (2**2 + 1**2))
    # ∇ = 2 (w·x - y) x + 0.2 w
    np.testing.assert_allclose(
        model.get_weights()[0], [[2 - (-6 + 0.4)], [1 - (0 + 0.2)]], rtol=1e-6
    )
