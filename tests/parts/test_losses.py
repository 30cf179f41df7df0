"""Every option of conf/loss, on each task that it declares, against NumPy, SciPy, scikit-learn."""

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import distance
from sklearn import metrics as reference

from expt.config.location import config_directory, options
from expt.errors import UserError
from expt.parts import losses
from expt.train.input.batch import mean_loss

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]

SHAPES = {
    "classification": (6, 4),
    "regression": (6, 3),
    "reconstruction": (6, 2, 3, 2),
    "generation": (6, 1),
}


def softmax(logits: Array) -> Array:
    return np.asarray(special.softmax(logits, axis=-1))


def log_softmax(logits: Array) -> Array:
    return np.asarray(special.log_softmax(logits, axis=-1))


def one_hot(labels: Array, outputs: Array) -> Array:
    return np.asarray(np.eye(outputs.shape[1])[labels])


def mean(values: Array) -> Array:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1))


def of_errors(formula: Callable[..., Array]) -> Callable[..., Array]:
    """Makes the mean of a formula over errors; for labels, over those of softmax probabilities."""

    def value(t: Array, o: Array, **settings: Any) -> Array:
        is_class = np.issubdtype(t.dtype, np.integer)
        errors = one_hot(t, o) - softmax(o) if is_class else t - o
        return mean(formula(errors, **settings))

    return value


def of_class(t: Array, values: Array) -> Array:
    return np.asarray(values[np.arange(len(t)), t])


def weight(t: Array, class_weights: list[float] | None) -> Any:
    return 1.0 if class_weights is None else np.array([class_weights[label] for label in t])


def crossentropy(
    t: Array, o: Array, label_smoothing: float, class_weights: list[float] | None
) -> Array:
    logs = log_softmax(o)
    value = (1 - label_smoothing) * of_class(t, logs) + label_smoothing * logs.mean(axis=1)
    return np.asarray(-weight(t, class_weights) * value)


def focal(t: Array, o: Array, gamma: float, class_weights: list[float] | None) -> Array:
    log_p = of_class(t, log_softmax(o))
    others = [np.delete(row, label) for label, row in zip(t, log_softmax(o), strict=True)]
    log_others = special.logsumexp(others, axis=1)  # of 1 - p, which rounds to 0
    return np.asarray(-weight(t, class_weights) * np.exp(gamma * log_others) * log_p)


def binary_crossentropy(t: Array, o: Array, label_smoothing: float) -> Array:
    t = one_hot(t, o) if np.issubdtype(t.dtype, np.integer) else t
    t = t + label_smoothing * (0.5 - t)
    return mean(-t * special.log_expit(o) - (1 - t) * special.log_expit(-o))


def hinge(t: Array, o: Array, margin: float) -> Array:
    gaps = [
        max(margin + score - scores[label] for k, score in enumerate(scores) if k != label)
        for label, scores in zip(t, o, strict=True)
    ]
    return np.maximum(gaps, 0)


def kl(t: Array, o: Array, label_smoothing: float) -> Array:
    t = one_hot(t, o) if np.issubdtype(t.dtype, np.integer) else t
    t = t + label_smoothing * (1 / t.shape[-1] - t)
    return mean((special.xlogy(t, t) - t * log_softmax(o)).sum(axis=-1))


def poisson(t: Array, o: Array) -> Array:
    # softplus(x) is exp(x) (1 - exp(x) / 2 …) far below 0.
    logs = np.where(o > -30, np.log(np.logaddexp(0, np.maximum(o, -30))), o)
    return mean(np.logaddexp(0, o) - t * logs)


def cosine(t: Array, o: Array) -> Array:
    if np.issubdtype(t.dtype, np.integer):
        t, o = one_hot(t, o), softmax(o)
    pairs = zip(t.reshape(len(t), -1), o.reshape(len(o), -1), strict=True)
    return np.array([distance.cosine(a, b) if a.any() and b.any() else 1.0 for a, b in pairs])


def log_cosh(e: Array) -> Array:
    return np.asarray(np.logaddexp(e, -e) - np.log(2))


VALUES: dict[str, Callable[..., Array]] = {
    "binary_crossentropy": binary_crossentropy,
    "cosine": cosine,
    "crossentropy": crossentropy,
    "focal": focal,
    "hinge": hinge,
    "huber": of_errors(
        lambda e, delta: np.where(abs(e) <= delta, e**2 / 2, delta * (abs(e) - delta / 2))
    ),
    "kl": kl,
    "log_cosh": of_errors(log_cosh),
    "mae": of_errors(np.abs),
    "mse": of_errors(np.square),
    "poisson": poisson,
    "quantile": of_errors(
        lambda e, quantile: np.where(e > 0, quantile * e, (quantile - 1) * e),
    ),
}
WEIGHTS = [0.5, 2.0, 1, 3.5]
OTHER_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "binary_crossentropy": [{"label_smoothing": 0.2}],
    "crossentropy": [
        {"label_smoothing": 0.1},
        {"class_weights": WEIGHTS},
        {"label_smoothing": 0.3, "class_weights": WEIGHTS},
    ],
    "focal": [{"gamma": 0}, {"gamma": 0.5}, {"gamma": 5.0, "class_weights": WEIGHTS}],
    "hinge": [{"margin": 0.1}, {"margin": 4}],
    "huber": [{"delta": 0.3}, {"delta": 3}],
    "kl": [{"label_smoothing": 0.2}],
    "quantile": [{"quantile": 0.1}, {"quantile": 0.95}],
}
BAD_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "binary_crossentropy": [{"label_smoothing": value} for value in (-0.1, 1, float("nan"))],
    "crossentropy": [
        *({"label_smoothing": value} for value in (-0.1, 1.0, 1.5, "0.1", None, True)),
        *({"class_weights": value} for value in ([1.0, 2.0, 3.0], [1.0] * 5, [], 2.0, "1234")),
        *({"class_weights": [1.0, 1.0, 1.0, value]} for value in (0, -1, float("inf"), "1")),
    ],
    "focal": [
        *({"gamma": value} for value in (-0.5, float("inf"), None, True)),
        {"class_weights": [1.0, 2.0, 3.0]},
    ],
    "hinge": [{"margin": value} for value in (0, -1.0)],
    "huber": [{"delta": value} for value in (0, -1.0, float("inf"), [1.0])],
    "kl": [{"label_smoothing": value} for value in (-0.1, 1)],
    "quantile": [{"quantile": value} for value in (0, 1, -0.5, 1.5)],
}


def declared(option: str) -> dict[str, Any]:
    text = (config_directory() / f"loss/{option}.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    assert isinstance(node, dict)
    return node


CASES = [
    pytest.param(option, task, settings, id=f"{option}-{task}-{settings}")
    for option in options("loss")
    for task in declared(option)["_tasks_"]
    for settings in [{}, *OTHER_SETTINGS.get(option, [])]
]


def make(option: str, task: str) -> tuple[Any, Array]:
    """Returns targets in the range that a loss declares, some at its ends, and outputs."""
    random, shape = np.random.default_rng(0), SHAPES[task]
    outputs = random.normal(scale=2, size=shape)
    if task == "classification":
        return np.array([0, 3, 2, 1, 3, 0]), outputs
    if task == "generation":
        return np.array([[1.0], [0.0], [1.0], [1.0], [0.0], [0.0]]), outputs
    match declared(option).get("_targets_"):
        case None:
            return random.normal(scale=2, size=shape), outputs
        case [0, None]:
            return random.poisson(1, size=shape).astype(np.float64), outputs
        case [0, 1]:
            distributions = random.dirichlet(np.ones(shape[-1]), size=shape[:-1])
            distributions[0] = np.eye(shape[-1])[0]
            return distributions, outputs
        case other:
            raise AssertionError(f"add targets in the range {other}")


def make_extremes(option: str, task: str) -> tuple[Any, Array]:
    """Returns outputs of ±1e4 and 0, each with every class or both ends of the range as target."""
    shape = SHAPES[task][1:]
    size = math.prod(shape)
    signs = np.array([np.ones(size), -np.ones(size), np.arange(size) % 2, np.zeros(size)])
    signs = np.concatenate([signs, np.eye(size)[:1], -np.eye(size)[:1], 2 * signs[2:3] - 1])
    ends = np.array(declared(option).get("_targets_", [-1e4, 1e4]), np.float64)
    least, most = np.where(np.isnan(ends), 1e4, ends)
    is_class = task == "classification"
    targets = np.arange(size) if is_class else least + (most - least) * np.abs(signs)
    outputs = np.repeat(1e4 * signs, len(targets), axis=0).reshape(-1, *shape)
    targets = np.concatenate([targets] * len(signs))
    return targets if is_class else targets.reshape(outputs.shape), outputs


def value_and_gradient(
    loss: Callable[..., Any], targets: Any, outputs: Any, jit_compile: bool = False
) -> tuple[Any, Any]:
    @tf.function(jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def both(targets: tf.Tensor, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = loss(targets, outputs)
            if isinstance(value, tuple):  # values and the weights of classes
                value = value[0] * value[1]
        return value, tape.gradient(value, outputs)

    is_class = np.issubdtype(np.asarray(targets).dtype, np.integer)
    dtype = tf.int32 if is_class else tf.float32
    value, gradient = both(tf.constant(targets, dtype), tf.constant(outputs, tf.float32))
    assert value.dtype == tf.float32
    assert value.shape == (len(outputs),)
    return value.numpy(), gradient.numpy()


def central_differences(function: Callable[[Array], Array], outputs: Array) -> Array:
    """∂/∂o of the sum of a function's values."""
    gradient, step = np.zeros_like(outputs), 1e-6
    for index in np.ndindex(outputs.shape):
        shift = np.zeros_like(outputs)
        shift[index] = step
        difference = function(outputs + shift).sum() - function(outputs - shift).sum()
        gradient[index] = difference / (2 * step)
    return gradient


@pytest.mark.parametrize("option", options("loss"))
def test_every_argument_is_tested_here(option: str) -> None:
    assert option in VALUES, f"add the formula of conf/loss/{option}.yaml to VALUES"
    arguments = {name for name in declared(option) if not name.startswith("_")}
    for table in (OTHER_SETTINGS, BAD_SETTINGS):
        assert {name for settings in table.get(option, []) for name in settings} == arguments


@pytest.mark.parametrize(("option", "task", "settings"), CASES)
def test_values_and_gradients(
    conf_part: ConfPart, option: str, task: str, settings: dict[str, Any]
) -> None:
    loss = functools.partial(conf_part(f"loss/{option}"), **settings)
    targets, outputs = make(option, task)
    formula = functools.partial(VALUES[option], targets, **loss.keywords)
    value, gradient = value_and_gradient(loss, targets, outputs)
    np.testing.assert_allclose(value, formula(outputs), rtol=1e-4, atol=1e-5)
    expected = central_differences(formula, outputs)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)


def sides(function: Callable[[Array], Array], outputs: Array) -> tuple[Array, Array]:
    """The derivatives on both sides of each output, which differ at kinks, as (f(x+h) - f(x)) / h.

    The value of each row must depend on that row alone.
    """
    flat = outputs.reshape(len(outputs), -1)
    at, step = function(outputs), 1e-4
    left, right = np.zeros_like(flat), np.zeros_like(flat)
    for column in range(flat.shape[1]):
        for size, found in ((-step, left), (step, right)):
            shifted = flat.copy()
            shifted[:, column] += size
            found[:, column] = (function(shifted.reshape(outputs.shape)) - at) / size
    return left.reshape(outputs.shape), right.reshape(outputs.shape)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("option", "task", "settings"), CASES)
def test_values_and_gradients_at_extremes(
    conf_part: ConfPart, option: str, task: str, settings: dict[str, Any], jit_compile: bool
) -> None:
    """Logits are ±1e4, so that probabilities are 0 and 1; targets are at the ends of the range."""
    loss = functools.partial(conf_part(f"loss/{option}"), **settings)
    targets, outputs = make_extremes(option, task)
    value, gradient = value_and_gradient(loss, targets, outputs, jit_compile)
    assert np.isfinite(gradient).all()
    formula = functools.partial(VALUES[option], targets, **loss.keywords)
    expected = formula(outputs)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    left, right = sides(formula, outputs)
    if option == "cosine" and task != "classification":  # which has no angle at 0
        at_zero = ~outputs.reshape(len(outputs), -1).any(axis=1)
        gradient[at_zero] = left[at_zero] = right[at_zero] = 0
    rounding = 1e-11 * np.abs(expected).max()  # of float64, over the step
    slack = 1e-2 * np.maximum(np.abs(left), np.abs(right)) + 1e-4 + rounding
    assert (gradient >= np.minimum(left, right) - slack).all()
    assert (gradient <= np.maximum(left, right) + slack).all()


RIGHT, WRONG, UNDECIDED = [1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("loss", "target", "output", "expected", "derivative"),
    [
        (losses.crossentropy, 0, RIGHT, 0, [0, 0]),
        (losses.crossentropy, 0, WRONG, 2e4, [-1, 1]),
        (losses.crossentropy, 0, UNDECIDED, np.log(2), [-0.5, 0.5]),
        (losses.focal, 0, RIGHT, 0, [0, 0]),
        (losses.focal, 0, WRONG, 2e4, [-1, 1]),
        (losses.focal, 0, UNDECIDED, np.log(2) / 4, [-0.29828680, 0.29828680]),
        (losses.binary_crossentropy, [0.0, 1.0], WRONG, 0, [0, 0]),
        (losses.binary_crossentropy, [0.0, 1.0], RIGHT, 1e4, [0.5, -0.5]),
        (losses.kl, [1.0, 0.0], RIGHT, 0, [0, 0]),
        (losses.kl, [0.25, 0.75], RIGHT, 0.75 * 2e4 - 0.5623351, [0.75, -0.75]),
        (losses.hinge, 0, RIGHT, 0, [0, 0]),
        (losses.hinge, 0, UNDECIDED, 1, [-1, 1]),
        (losses.mse, 0, WRONG, 1, [0, 0]),
        (losses.mse, 0, UNDECIDED, 0.25, [-0.25, 0.25]),
        (losses.huber, [0.0, 0.0], WRONG, 1e4 - 0.5, [-0.5, 0.5]),
        (losses.log_cosh, [0.0, 0.0], WRONG, 1e4 - np.log(2), [-0.5, 0.5]),
        (losses.log_cosh, [0.0, 0.0], [1e-3, 1e-3], 5e-7, [5e-4, 5e-4]),
        (losses.poisson, [3.0, 3.0], [-1e4, -1e4], 3e4, [-1.5, -1.5]),
        (losses.poisson, [3.0, 3.0], UNDECIDED, 1e4 - 3 * np.log(1e4), [0.49985, 0.49985]),
        (losses.poisson, [3.0, 3.0], [-20.0, -20.0], 60, [-1.5, -1.5]),
        (losses.cosine, [0.0, 0.0], [0.0, 0.0], 1, [0, 0]),
        (losses.cosine, [1.0, 2.0], [0.0, 0.0], 1, None),
        (losses.cosine, [1.0, 1.0], [-1e4, -1e4], 2, [0, 0]),
    ],
)
def test_far_from_zero_and_at_it(
    loss: Callable[..., Any],
    target: Any,
    output: list[float],
    expected: float,
    derivative: list[float] | None,
    jit_compile: bool,
) -> None:
    """These are values for which the formulas above overflow or cancel."""
    value, gradient = value_and_gradient(loss, [target], [output], jit_compile)
    np.testing.assert_allclose(value, [expected], rtol=1e-5, atol=1e-9)
    if derivative is not None:
        np.testing.assert_allclose(gradient, [derivative], rtol=1e-4, atol=1e-7)


def test_crossentropy_of_equal_logits_is_the_log_of_the_number_of_classes() -> None:
    value = losses.crossentropy(tf.constant([3]), tf.fill((1, 10), 7.0))
    assert float(value[0]) == pytest.approx(np.log(10))


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.uint8])
def test_labels_of_any_integer_type_are_accepted(dtype: tf.DType) -> None:
    labels, logits = make("mse", "classification")
    value = losses.mse(tf.constant(labels, dtype), tf.constant(logits, tf.float32))
    np.testing.assert_allclose(value, VALUES["mse"](labels, logits), rtol=1e-5)


@pytest.mark.parametrize(
    ("option", "settings"),
    [(option, settings) for option, bad in BAD_SETTINGS.items() for settings in bad],
)
def test_invalid_options_are_refused(
    conf_part: ConfPart, option: str, settings: dict[str, Any]
) -> None:
    loss = functools.partial(conf_part(f"loss/{option}"), **settings)
    targets, outputs = make(option, declared(option)["_tasks_"][0])
    ((name, value),) = settings.items()
    message = re.escape(f"loss.{name}={value}: expected ")
    with pytest.raises(UserError, match=message):
        loss(tf.constant(targets), tf.constant(outputs, tf.float32))


def test_messages_state_the_expected_range() -> None:
    labels, logits = tf.constant([0]), tf.zeros((1, 3))
    with pytest.raises(
        UserError, match=r"label_smoothing=1\.0: expected a number of at least 0 and below 1\."
    ):
        losses.crossentropy(labels, logits, label_smoothing=1.0)
    with pytest.raises(
        UserError, match=r"expected a list of 3 positive numbers, one for each class"
    ):
        losses.crossentropy(labels, logits, class_weights=[1.0, 2.0])
    with pytest.raises(UserError, match=r"delta=-1: expected a number above 0\."):
        losses.huber(logits, logits, delta=-1)
    with pytest.raises(UserError, match=r"quantile=1: expected a number above 0 and below 1\."):
        losses.quantile(logits, logits, quantile=1)


def test_kl_refuses_a_single_output() -> None:
    with pytest.raises(UserError, match=r"loss=kl: .* at least 2 values; .*binary_crossentropy"):
        losses.kl(tf.ones((4, 1)), tf.ones((4, 1)))


SCIKIT_LEARN: dict[str, tuple[str, Callable[..., float]]] = {
    "crossentropy": (
        "classification",
        lambda t, o, w: reference.log_loss(t, softmax(o), sample_weight=w, labels=range(4)),
    ),
    "hinge": (
        "classification",
        lambda t, o, w: reference.hinge_loss(t, o, sample_weight=w, labels=range(4)),
    ),
    "mse": (
        "regression",
        lambda t, o, w: reference.mean_squared_error(t, o, sample_weight=w),
    ),
    "mae": (
        "regression",
        lambda t, o, w: reference.mean_absolute_error(t, o, sample_weight=w),
    ),
    "quantile": (
        "regression",
        lambda t, o, w: reference.mean_pinball_loss(t, o, sample_weight=w, alpha=0.5),
    ),
    "binary_crossentropy": (
        "generation",
        lambda t, o, w: reference.log_loss(t[:, 0], special.expit(o[:, 0]), sample_weight=w),
    ),
}


@pytest.mark.parametrize("option", SCIKIT_LEARN)
@pytest.mark.parametrize("weights", [[1.0] * 6, [0.5, 3, 0, 1, 7, 0], [0, 0, 0, 0, 1e-3, 0]])
def test_weighted_mean_equals_that_of_scikit_learn(
    conf_part: ConfPart, option: str, weights: list[float]
) -> None:
    task, expected = SCIKIT_LEARN[option]
    targets, outputs = make(option, task)
    weighted = mean_of(conf_part(f"loss/{option}"), targets, outputs, weights)
    assert weighted == pytest.approx(expected(targets, outputs, weights), rel=1e-5)


def mean_of(loss: Any, targets: Any, outputs: Any, weights: Any) -> float:
    is_class = np.issubdtype(np.asarray(targets).dtype, np.integer)
    values = loss(
        tf.constant(targets, tf.int32 if is_class else tf.float32),
        tf.constant(outputs, tf.float32),
    )
    return float(mean_loss(values, None if weights is None else tf.constant(weights, tf.float32)))


@pytest.mark.parametrize("option", ["crossentropy", "focal"])
@pytest.mark.parametrize("weights", [None, [0.5, 3, 0, 1, 7, 0]])
def test_class_weights_are_normalized_by_their_sum(
    conf_part: ConfPart, option: str, weights: list[float] | None
) -> None:
    """As in torch.nn.CrossEntropyLoss(weight=…) and with scikit-learn's sample weights."""
    loss = functools.partial(conf_part(f"loss/{option}"), class_weights=WEIGHTS)
    targets, outputs = make(option, "classification")
    both = np.array(WEIGHTS)[targets] * (np.ones(6) if weights is None else weights)
    plain = VALUES[option](targets, outputs, **{**loss.keywords, "class_weights": None})
    found = mean_of(loss, targets, outputs, weights)
    assert found == pytest.approx(np.average(plain, weights=both), rel=1e-5)
    if option == "crossentropy":
        expected = reference.log_loss(targets, softmax(outputs), sample_weight=both)
        assert found == pytest.approx(expected, rel=1e-5)
    # Only ratios matter, and equal weights have no effect.
    tenfold = functools.partial(loss, class_weights=[10 * weight for weight in WEIGHTS])
    assert mean_of(tenfold, targets, outputs, weights) == pytest.approx(found, rel=1e-5)
    equal = functools.partial(loss, class_weights=[3.0] * 4)
    unweighted = functools.partial(loss, class_weights=None)
    assert mean_of(equal, targets, outputs, weights) == pytest.approx(
        mean_of(unweighted, targets, outputs, weights), rel=1e-5
    )


@pytest.mark.parametrize("option", options("loss"))
def test_weight_equals_repetition_of_an_example(conf_part: ConfPart, option: str) -> None:
    loss, task = conf_part(f"loss/{option}"), declared(option)["_tasks_"][0]
    targets, outputs = make(option, task)
    counts = np.array([2, 0, 1, 3, 1, 2])
    repeated = np.repeat(np.arange(6), counts)
    expected = mean_of(loss, targets[repeated], outputs[repeated], None)
    assert mean_of(loss, targets, outputs, counts) == pytest.approx(expected, rel=1e-5)


def test_cosine_refuses_a_single_output() -> None:
    with pytest.raises(UserError, match=r"loss=cosine: .* at least 2 values; .*loss=mse"):
        losses.cosine(tf.ones((4, 1)), tf.ones((4, 1)))
