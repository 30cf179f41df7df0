"""Every option of conf/metric, on each task that it declares, against scikit-learn."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn import metrics as reference

from expt.config.location import config_directory, options
from expt.errors import UserError
from expt.parts import metrics
from expt.train.compilation import compile_function
from expt.train.objective import log_odds, takes_weights, with_log_odds

Array = NDArray[Any]
Data = tuple[Array, Array]
ConfPart = Callable[[str], functools.partial[Any]]

MODES = pytest.mark.parametrize("mode", ["eager", "graph", "xla"])


def class_average(name: str) -> Callable[..., float]:
    score = getattr(reference, f"{name}_score")

    def average(t: Array, o: Array, w: Any = None, *, positive: Any = None, **settings: Any) -> Any:
        if settings.get("average") == "binary":
            settings["pos_label"] = 1 if positive is None else positive
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that occur nowhere
            return score(t, o.argmax(axis=1), zero_division=0, sample_weight=w, **settings)

    return average


def exact_log_odds(o: Array) -> Array:
    """log p_k / (1 - p_k) of a softmax, computed without saturation."""
    columns = range(o.shape[1])
    others = [logsumexp(np.delete(o.astype(np.float64), k, axis=1), axis=1) for k in columns]
    return np.asarray(o - np.array(others).T)


def auc(t: Array, o: Array, w: Any = None) -> float:
    scores = exact_log_odds(o)
    classes = [1] if o.shape[1] == 2 else np.unique(t)
    areas = [reference.roc_auc_score(t == k, scores[:, k], sample_weight=w) for k in classes]
    return float(np.mean(areas))


def r2(t: Array, o: Array, w: Any = None) -> float:
    of_each = t.reshape(len(t), -1), o.reshape(len(o), -1)
    return float(reference.r2_score(*of_each, sample_weight=w))


def root_of_all(t: Array, o: Array, w: Any = None) -> float:
    of_each = t.reshape(len(t), -1), o.reshape(len(o), -1)
    return float(np.sqrt(reference.mean_squared_error(*of_each, sample_weight=w)))


def absolute(t: Array, o: Array, w: Any = None) -> float:
    of_each = t.reshape(len(t), -1), o.reshape(len(o), -1)
    return float(reference.mean_absolute_error(*of_each, sample_weight=w))


def among_largest(t: Array, o: Array, w: Any = None, *, k: int) -> float:
    labels = range(o.shape[1])
    return float(reference.top_k_accuracy_score(t, o, k=k, labels=labels, sample_weight=w))


VALUES: dict[str, Callable[..., float]] = {
    "accuracy": lambda t, o, w=None: reference.accuracy_score(t, o.argmax(axis=1), sample_weight=w),
    "auc": auc,
    "f1": class_average("f1"),
    "mae": absolute,
    "precision": class_average("precision"),
    "r2": r2,
    "recall": class_average("recall"),
    "rmse": root_of_all,
    "top_k": among_largest,
}
AVERAGES = [{"average": "micro"}, {"average": "weighted"}]
BINARY: list[dict[str, Any]] = [
    {"average": "binary", "positive": None},
    {"average": "binary", "positive": 0},
]
OTHER_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "f1": AVERAGES,
    "precision": AVERAGES,
    "recall": AVERAGES,
    "top_k": [{"k": 1}, {"k": 2}],
}
BAD_SETTINGS: dict[str, list[dict[str, Any]]] = {
    **{
        name: [{"average": "marco"}, {"average": None}, {"positive": 1}]
        for name in ("f1", "precision", "recall")
    },
    "top_k": [{"k": value} for value in (0, 7, 2.0, True, None)],
}


def declared(option: str) -> dict[str, Any]:
    text = (config_directory() / f"metric/{option}.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    assert isinstance(node, dict)
    return node


CASES = [
    pytest.param(option, task, settings, id=f"{option}-{task}-{settings}")
    for option in options("metric")
    for task in declared(option)["_tasks_"]
    for settings in [{}, *OTHER_SETTINGS.get(option, [])]
]


def classification(num_examples: int = 60, num_classes: int = 6) -> Data:
    random = np.random.default_rng(0)
    labels = random.integers(num_classes, size=num_examples)
    return labels, random.normal(size=(num_examples, num_classes)) + np.eye(num_classes)[labels]


def values(*shape: int) -> Data:
    random = np.random.default_rng(0)
    targets = random.normal(loc=3, size=shape)
    return targets, targets + random.normal(scale=0.5, size=shape)


WEIGHTS = np.random.default_rng(3).uniform(0.1, 5, 60).astype(np.float32)
DATA: dict[str, Data] = {
    "classification": classification(),
    "regression": values(40, 3),
    "reconstruction": values(40, 2, 3, 2),
}


def compute(
    metric: Callable[..., Any], data: Data, mode: str = "graph", weights: Any = None
) -> float:
    """Computes a metric as in training: AUC from log-odds."""
    targets, outputs = data
    is_class = np.issubdtype(targets.dtype, np.integer)
    if getattr(metric, "func", metric) is metrics.auc:
        metric = with_log_odds(metric, "softmax")
    if weights is not None:
        metric = functools.partial(metric, weights=tf.constant(weights, tf.float32))
    labels = tf.constant(targets, tf.int32 if is_class else tf.float32)
    value = compile_function(metric, mode)(labels, tf.constant(outputs, tf.float32))
    assert value.dtype == tf.float32
    assert value.shape == ()
    return float(value)


@pytest.mark.parametrize("option", options("metric"))
def test_every_argument_is_tested_here(option: str) -> None:
    assert option in VALUES, (
        f"add the scikit-learn equivalent of conf/metric/{option}.yaml to VALUES"
    )
    arguments = {name for name in declared(option) if not name.startswith("_")}
    assert {name for of in BAD_SETTINGS.get(option, []) for name in of} == arguments
    of_two = BINARY if "average" in arguments else []
    assert {name for of in OTHER_SETTINGS.get(option, []) + of_two for name in of} == arguments


@MODES
@pytest.mark.parametrize(("option", "task", "settings"), CASES)
def test_values(
    conf_part: ConfPart, option: str, task: str, settings: dict[str, Any], mode: str
) -> None:
    metric = functools.partial(conf_part(f"metric/{option}"), **settings)
    expected = VALUES[option](*DATA[task], **metric.keywords)
    assert compute(metric, DATA[task], mode) == pytest.approx(expected, rel=1e-5)
    weights = WEIGHTS[: len(DATA[task][0])]
    expected = VALUES[option](*DATA[task], weights, **metric.keywords)
    assert compute(metric, DATA[task], mode, weights) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("option", "task", "settings"), CASES)
def test_weights_equal_repetition_of_examples(
    conf_part: ConfPart, option: str, task: str, settings: dict[str, Any]
) -> None:
    """In particular, examples of weight 0 do not count, whatever their values."""
    metric = functools.partial(conf_part(f"metric/{option}"), **settings)
    targets, outputs = (array.copy() for array in DATA[task])
    counts = np.random.default_rng(2).integers(0, 4, len(targets))
    repeated = np.repeat(np.arange(len(targets)), counts)
    expected = compute(metric, (targets[repeated], outputs[repeated]))
    assert compute(metric, (targets, outputs), weights=counts) == pytest.approx(expected, rel=1e-5)
    masked = counts == 0
    targets[masked], outputs[masked] = targets[0], 1e6
    assert compute(metric, (targets, outputs), weights=counts) == pytest.approx(expected, rel=1e-5)
    thousandth = compute(metric, (targets, outputs), weights=counts / 1000)
    assert thousandth == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("option", options("metric"))
def test_every_metric_supports_weights(conf_part: ConfPart, option: str) -> None:
    assert takes_weights(conf_part(f"metric/{option}"))


@pytest.mark.parametrize("option", options("metric"))
def test_weights_of_0_alone_give_a_finite_value(conf_part: ConfPart, option: str) -> None:
    data = DATA[declared(option)["_tasks_"][0]]
    assert np.isfinite(compute(conf_part(f"metric/{option}"), data, weights=np.zeros(len(data[0]))))


@pytest.mark.parametrize("weights", [None, np.linspace(0, 3, 50)])
@pytest.mark.parametrize("settings", BINARY)
@pytest.mark.parametrize("option", ["precision", "recall", "f1"])
def test_binary_average_is_the_value_of_one_class(
    option: str, settings: dict[str, Any], weights: Any
) -> None:
    metric = functools.partial(getattr(metrics, option), **settings)
    data = classification(50, 2)
    expected = VALUES[option](*data, weights, **settings)
    assert compute(metric, data, weights=weights) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UserError, match=rf"metric.{option}.average=binary: .* 6 classes"):
        compute(metric, DATA["classification"], "eager")


@pytest.mark.parametrize("option", options("metric"))
def test_the_declared_direction(conf_part: ConfPart, option: str) -> None:
    metric, task = conf_part(f"metric/{option}"), declared(option)["_tasks_"][0]
    targets, outputs = DATA[task]
    best = 9 * np.eye(6)[targets] if task == "classification" else targets
    gain = compute(metric, (targets, best)) - compute(metric, (targets, outputs[::-1]))
    assert (gain > 0) == (declared(option).get("_direction_") == "max")


def tied(num_examples: int, num_classes: int, scale: float = 1) -> Data:
    """Many examples with one of nine rows of logits; half belong to their likeliest class."""
    random = np.random.default_rng(1)
    logits = random.normal(scale=scale, size=(9, num_classes))[
        random.integers(9, size=num_examples)
    ]
    others = random.integers(num_classes, size=num_examples)
    return np.where(random.random(num_examples) < 0.5, logits.argmax(axis=1), others), logits


def with_missing_classes() -> Data:
    """Six classes, of which 1 and 4 occur in targets, and 0 to 3 in predictions."""
    labels, logits = classification()
    return np.where(labels < 3, 1, 4), logits - [0, 0, 0, 0, 99, 99]


UNUSUAL = {
    "ties": tied(200, 4),
    "ties of two classes": tied(200, 2),
    "two classes": classification(50, 2),
    "two classes of which one's probability is rounded to 1": tied(50, 2, scale=20),
    "missing classes": with_missing_classes(),
    "as many examples as classes": (np.arange(6), classification(6)[1]),
    "two examples": (np.array([2, 0]), classification(2, 3)[1]),
    "equal outputs": (classification()[0], np.ones((60, 6))),
    "large logits": (classification()[0], 1e4 * classification()[1]),
}


@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("option", ["precision", "recall", "f1"])
def test_class_averages_of_unusual_data(option: str, average: str, name: str) -> None:
    metric = functools.partial(getattr(metrics, option), average=average)
    expected = VALUES[option](*UNUSUAL[name], average=average)
    assert compute(metric, UNUSUAL[name]) == pytest.approx(expected, rel=1e-5)


def test_macro_average_excludes_absent_classes() -> None:
    # Class 0: one of two predictions is right. Class 1: one example, never predicted.
    data = np.array([0, 0, 1]), 5.0 * np.eye(10)[[0, 3, 0]]
    assert compute(metrics.recall, data) == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert compute(metrics.precision, data) == pytest.approx((1 / 2 + 0 + 0) / 3)


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("option", ["precision", "recall", "f1", "accuracy"])
def test_class_averages_of_a_single_example(option: str, label: int) -> None:
    data = np.array([label]), np.array([[0.0, 1.0, 5.0]])
    assert compute(getattr(metrics, option), data) == (1.0 if label == 2 else 0.0)


@pytest.mark.parametrize("name", UNUSUAL)
def test_auc_of_unusual_data(name: str) -> None:
    assert compute(metrics.auc, UNUSUAL[name]) == pytest.approx(auc(*UNUSUAL[name]), abs=1e-7)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_auc_is_exact_for_many_examples_and_ties(mode: str) -> None:
    data = tied(20_000, 3)
    assert 0.55 < auc(*data) < 0.95
    assert compute(metrics.auc, data, mode) == pytest.approx(auc(*data), abs=1e-7)


@MODES
def test_auc_by_hand(mode: str) -> None:
    # Class 1's pairs: 2 beats both, 1 beats 0 and ties with 1: three and a half of four.
    logits = np.array([[0.0, 2.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    assert compute(metrics.auc, (np.array([1, 1, 0, 0]), logits), mode) == 0.875
    assert compute(metrics.auc, (np.array([0, 0, 1, 1]), logits), mode) == 0.125


@MODES
def test_auc_does_not_saturate(mode: str) -> None:
    """float32 probabilities of logits 17 or more apart are all 1, which made this AUC 0.846."""
    gaps = np.array([18.0, 20, 22, 24, 26, 28, 30, 32, 34, 36])
    logits = np.stack([np.zeros(10), gaps], axis=1)
    labels = (gaps > 25).astype(int)
    p = tf.nn.softmax(tf.constant(logits, tf.float32)).numpy()
    assert reference.roc_auc_score(labels, p[:, 1]) == 0.5
    assert compute(metrics.auc, (labels, logits), mode) == 1.0
    three = np.concatenate([logits, -50 * np.ones((10, 1))], axis=1)
    assert compute(metrics.auc, (labels, three), mode) == 1.0
    # Large logits with small gaps: their difference is not rounded.
    assert compute(metrics.auc, (labels, 4096 + logits / 1024), mode) == 1.0


def test_log_odds() -> None:
    logits = np.random.default_rng(0).normal(scale=20, size=(200, 5)).astype(np.float32)
    logits[:3] = np.array([[0, 0, 0, 0, 0], [1e4, 1e4, 0, 0, 0], [-1e4, 0, 1e4, 0, 0]])
    outputs = tf.constant(logits)
    np.testing.assert_allclose(
        log_odds(outputs, "softmax"), exact_log_odds(logits), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(log_odds(outputs, "sigmoid"), logits)
    margins = [[row[k] - np.delete(row, k).max() for k in range(5)] for row in logits.tolist()]
    np.testing.assert_allclose(log_odds(outputs, None), margins)
    of_two = np.array([[3.0, 1.0], [7.0, 7.0], [1e4, -1e4]], np.float32)
    np.testing.assert_array_equal(log_odds(of_two, "softmax")[:, 1], [-2, 0, -2e4])
    shifted = log_odds(outputs[:1] + 1024, "softmax")  # a tie stays one
    np.testing.assert_array_equal(shifted, log_odds(outputs[:1], "softmax"))


@pytest.mark.parametrize("num_examples", [1, 5])
@pytest.mark.parametrize("num_classes", [2, 4])
@MODES
def test_auc_without_pairs_is_one_half(num_examples: int, num_classes: int, mode: str) -> None:
    logits = classification(num_examples, num_classes)[1]
    assert compute(metrics.auc, (np.ones(num_examples, int), logits), mode) == 0.5


@pytest.mark.parametrize("name", UNUSUAL)
def test_top_1_is_accuracy_and_top_all_is_1(name: str) -> None:
    data = UNUSUAL[name]
    top_1 = compute(functools.partial(metrics.top_k, k=1), data)
    assert top_1 == compute(metrics.accuracy, data)
    assert compute(functools.partial(metrics.top_k, k=data[1].shape[1]), data) == 1


def test_top_k_prefers_lower_labels_among_equal_logits() -> None:
    data = np.array([0, 1, 2, 3]), np.zeros((4, 4))
    assert compute(functools.partial(metrics.top_k, k=3), data) == 0.75


@pytest.mark.parametrize(
    ("option", "settings"),
    [(option, settings) for option, bad in BAD_SETTINGS.items() for settings in bad],
)
def test_invalid_options_are_refused(
    conf_part: ConfPart, option: str, settings: dict[str, Any]
) -> None:
    metric = functools.partial(conf_part(f"metric/{option}"), **settings)
    ((name, value),) = settings.items()
    expected = {
        "k": "expected a whole number from 1 to 6",
        "positive": "average=macro is over all classes",
    }.get(name, ".*Valid: binary, macro, micro, w")
    with pytest.raises(UserError, match=rf"^metric\.{option}\.{name}={value}: {expected}"):
        compute(metric, DATA["classification"], "eager")


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1, 2, 2], 1.0), ([1, 0, 0, 1], 0.0), ([0, 1, 0, 0], 0.5), ([2, 1, 0, 1], 0.25)],
)
def test_accuracy(labels: list[int], expected: float, dtype: tf.DType) -> None:
    logits = tf.constant([[5.0, 1.0, -9.0], [-3.0, -1.0, -2.0], [0.0, 0.1, 0.2], [0.0, 0.0, 50.0]])
    value = metrics.accuracy(tf.constant(labels, dtype), logits)
    assert value.shape == ()
    assert float(value) == expected


def test_rmse_is_that_of_the_whole_split() -> None:
    # The mean of the examples' own roots would be 1.5.
    data = np.zeros((2, 1)), np.array([[3.0], [0.0]])
    assert compute(metrics.rmse, data) == pytest.approx(np.sqrt(4.5))


def test_rmse_of_several_outputs_is_the_root_of_their_common_mean() -> None:
    data = np.zeros((2, 2)), np.array([[3.0, 0.0], [3.0, 1.0]])
    assert compute(metrics.rmse, data) == pytest.approx(np.sqrt((9 + 0.5) / 2))
    of_roots = reference.root_mean_squared_error(*data)
    assert of_roots == pytest.approx((3 + np.sqrt(0.5)) / 2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
@pytest.mark.parametrize("error", [0.0, 0.5])
@MODES
def test_r2_of_a_value_that_is_constant(constant: float, error: float, mode: str) -> None:
    targets, outputs = (array.copy() for array in values(37, 3))
    varying = r2(targets[:, 1:], outputs[:, 1:])
    targets[:, 0], outputs[:, 0] = constant, constant + error
    expected = (2 * varying + (error == 0)) / 3
    assert compute(metrics.r2, (targets, outputs), mode) == pytest.approx(expected, rel=1e-5)
    if constant == 0:  # in scikit-learn too, where the mean is not rounded
        assert r2(targets, outputs) == pytest.approx(expected)


def test_r2_of_a_single_example_and_of_tiny_values() -> None:
    targets = np.array([[1.0, 2.0]])
    assert compute(metrics.r2, (targets, targets)) == 1
    assert compute(metrics.r2, (targets, targets + np.eye(2)[1])) == 0.5
    tiny = np.array([[1e-30], [2e-30]])  # their squares are 0
    assert compute(metrics.r2, (tiny, tiny)) == 1
    assert compute(metrics.r2, (tiny, tiny + 1)) == 0
