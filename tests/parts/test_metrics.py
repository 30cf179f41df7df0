"""Every option of conf/metric, on each task that it declares, against scikit-learn."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray
from sklearn import metrics as reference

from expt.config.location import config_directory, options
from expt.errors import UserError
from expt.parts import metrics
from expt.train.block import compiled

Array = NDArray[Any]
Data = tuple[Array, Array]
ConfPart = Callable[[str], functools.partial[Any]]

MODES = pytest.mark.parametrize("mode", ["eager", "graph", "xla"])


def class_average(name: str) -> Callable[..., float]:
    score = getattr(reference, f"{name}_score")
    return lambda t, o, **settings: score(t, o.argmax(axis=1), zero_division=0, **settings)


def auc(t: Array, o: Array) -> float:
    p = tf.nn.softmax(tf.constant(o, tf.float32)).numpy()
    if o.shape[1] == 2:
        return float(reference.roc_auc_score(t, p[:, 1]))
    if len(np.unique(t)) == o.shape[1]:
        return float(reference.roc_auc_score(t, p, multi_class="ovr", average="macro"))
    return float(np.mean([reference.roc_auc_score(t == k, p[:, k]) for k in np.unique(t)]))


def r2(t: Array, o: Array) -> float:
    return float(reference.r2_score(t.reshape(len(t), -1), o.reshape(len(o), -1)))


VALUES: dict[str, Callable[..., float]] = {
    "accuracy": lambda t, o: reference.accuracy_score(t, o.argmax(axis=1)),
    "auc": auc,
    "f1": class_average("f1"),
    "mae": lambda t, o: reference.mean_absolute_error(t.ravel(), o.ravel()),
    "precision": class_average("precision"),
    "r2": r2,
    "recall": class_average("recall"),
    "rmse": lambda t, o: reference.root_mean_squared_error(t.ravel(), o.ravel()),
    "top_k": lambda t, o, k: reference.top_k_accuracy_score(t, o, k=k, labels=range(o.shape[1])),
}
AVERAGES = [{"average": "micro"}, {"average": "weighted"}]
OTHER_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "f1": AVERAGES,
    "precision": AVERAGES,
    "recall": AVERAGES,
    "top_k": [{"k": 1}, {"k": 2}],
}
BAD_SETTINGS: dict[str, list[dict[str, Any]]] = {
    **{name: [{"average": "marco"}, {"average": None}] for name in ("f1", "precision", "recall")},
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


DATA: dict[str, Data] = {
    "classification": classification(),
    "regression": values(40, 3),
    "reconstruction": values(40, 2, 3, 2),
}


def compute(metric: Callable[..., Any], data: Data, mode: str = "graph") -> float:
    targets, outputs = data
    is_class = np.issubdtype(targets.dtype, np.integer)
    tensors = tf.constant(targets, tf.int32 if is_class else tf.float32), outputs
    value = compiled(metric, mode)(tensors[0], tf.constant(outputs, tf.float32))
    assert value.dtype == tf.float32
    assert value.shape == ()
    return float(value)


@pytest.mark.parametrize("option", options("metric"))
def test_every_argument_is_tested_here(option: str) -> None:
    assert option in VALUES, f"add what conf/metric/{option}.yaml is in scikit-learn to VALUES"
    arguments = {name for name in declared(option) if not name.startswith("_")}
    for table in (OTHER_SETTINGS, BAD_SETTINGS):
        assert {name for settings in table.get(option, []) for name in settings} == arguments


@MODES
@pytest.mark.parametrize(("option", "task", "settings"), CASES)
def test_values(
    conf_part: ConfPart, option: str, task: str, settings: dict[str, Any], mode: str
) -> None:
    metric = functools.partial(conf_part(f"metric/{option}"), **settings)
    expected = VALUES[option](*DATA[task], **metric.keywords)
    assert compute(metric, DATA[task], mode) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("option", options("metric"))
def test_the_declared_direction(conf_part: ConfPart, option: str) -> None:
    metric, task = conf_part(f"metric/{option}"), declared(option)["_tasks_"][0]
    targets, outputs = DATA[task]
    best = 9 * np.eye(6)[targets] if task == "classification" else targets
    gain = compute(metric, (targets, best)) - compute(metric, (targets, outputs[::-1]))
    assert (gain > 0) == (declared(option).get("_direction_") == "max")


def tied(num_examples: int, num_classes: int, scale: float = 1) -> Data:
    """Many examples, whose logits are one of nine rows; half are of their likeliest class."""
    random = np.random.default_rng(1)
    logits = random.normal(scale=scale, size=(9, num_classes))[
        random.integers(9, size=num_examples)
    ]
    others = random.integers(num_classes, size=num_examples)
    return np.where(random.random(num_examples) < 0.5, logits.argmax(axis=1), others), logits


def with_missing_classes() -> Data:
    """Of six classes 1 and 4 are in targets, and 0 to 3 in predictions."""
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


def test_macro_average_leaves_out_classes_that_occur_nowhere() -> None:
    # Of class 0: one of two right. Of class 1: one example, never predicted. No class 2 to 9.
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


@pytest.mark.parametrize("num_examples", [1, 5])
@pytest.mark.parametrize("num_classes", [2, 4])
@MODES
def test_auc_without_pairs_is_that_of_no_knowledge(
    num_examples: int, num_classes: int, mode: str
) -> None:
    logits = classification(num_examples, num_classes)[1]
    assert compute(metrics.auc, (np.ones(num_examples, int), logits), mode) == 0.5


@pytest.mark.parametrize("name", UNUSUAL)
def test_top_1_is_the_accuracy_and_top_all_is_1(name: str) -> None:
    data = UNUSUAL[name]
    top_1 = compute(functools.partial(metrics.top_k, k=1), data)
    assert top_1 == compute(metrics.accuracy, data)
    assert compute(functools.partial(metrics.top_k, k=data[1].shape[1]), data) == 1


def test_top_k_prefers_lower_classes_of_equal_logits() -> None:
    data = np.array([0, 1, 2, 3]), np.zeros((4, 4))
    assert compute(functools.partial(metrics.top_k, k=3), data) == 0.75


@pytest.mark.parametrize(
    ("option", "settings"),
    [(option, settings) for option, bad in BAD_SETTINGS.items() for settings in bad],
)
def test_bad_settings(conf_part: ConfPart, option: str, settings: dict[str, Any]) -> None:
    metric = functools.partial(conf_part(f"metric/{option}"), **settings)
    ((name, value),) = settings.items()
    expected = "expected a whole number from 1 to 6" if name == "k" else ".*Valid: macro, micro, w"
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


def test_rmse_is_of_the_whole_split_not_a_mean_over_examples() -> None:
    # The mean of the examples' own roots would be 1.5.
    data = np.zeros((2, 1)), np.array([[3.0], [0.0]])
    assert compute(metrics.rmse, data) == pytest.approx(np.sqrt(4.5))


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
