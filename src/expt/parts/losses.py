"""Losses: functions that return one value per example.

A loss takes targets first and outputs second. Outputs of classifiers are logits of shape
[batch, classes] with int32 targets of shape [batch]; other outputs have the shape of their float
targets, [batch, …]. Values are averaged over all axes except the first. The mean over the batch is
taken in one place, the training step, so that weights of examples and classes apply to every loss.

With class weights a loss returns two tensors of shape [batch]: the values, and the weights of the
examples' classes. The step and evaluations then compute Σ w_i l_i / Σ w_i, where w_i is the product
of the weight of an example and that of its class. A custom loss may return such a pair, too.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from expt.errors import UserError
from expt.parts.numbers import is_number

# Lower bound on a mean of squares, so that dividing by the norm of a zero vector is defined.
_EPSILON = 1e-12

Values: TypeAlias = "tf.Tensor | tuple[tf.Tensor, tf.Tensor]"
"""One value per example, shape [batch]; or a pair of values and weights, each of that shape."""


def crossentropy(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Values:
    """Softmax cross-entropy of logits: -Σ_k t_k log p_k, p = softmax(outputs).

    t is onehot(y), or its smoothed form; the gradient with respect to the logits is p - t. Sources:
    I. Goodfellow et al., "Deep Learning", 2016, section 6.2.2.3; C. Szegedy et al., "Rethinking the
    Inception Architecture for Computer Vision", arXiv:1512.00567, section 7.

    Args:
        targets: Labels, shape [batch].
        outputs: Logits, shape [batch, classes].
        label_smoothing: ε in t = (1 - ε) onehot(y) + ε / classes, in [0, 1).
        class_weights: Positive weight of the examples of each class, or `balanced`. The mean over
            a batch or split is divided by the sum of the weights, as in PyTorch and scikit-learn,
            so that only their ratios matter. In a config, `balanced` stands for the weights
            examples / (classes · examples of the class) of the train split. The weight of an
            example is that of its label, even with label smoothing.

    Returns:
        Losses in nats, shape [batch]; with class weights a pair of losses and weights.

    Raises:
        UserError: An option is out of its range.
    """
    _check("label_smoothing", label_smoothing, from_zero=True, below=1)
    if label_smoothing:
        smoothed = _smoothed(_one_hot(targets, outputs), label_smoothing, outputs.shape[-1])
        values = tf.nn.softmax_cross_entropy_with_logits(labels=smoothed, logits=outputs)
    else:
        values = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs)
    return _weighted(values, targets, outputs, class_weights)


def focal(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    gamma: float = 2.0,
    class_weights: Sequence[float] | None = None,
) -> Values:
    """Focal loss of logits, which down-weights easy examples: -(1 - p_y)^γ log p_y.

    p = softmax(outputs). Source: T. Lin et al., "Focal Loss for Dense Object Detection",
    arXiv:1708.02002, equation 5, with the softmax in place of the sigmoid.

    Args:
        targets: Labels, shape [batch].
        outputs: Logits, shape [batch, classes].
        gamma: Focusing exponent γ, at least 0; 0 is the cross-entropy.
        class_weights: Positive weight of the examples of each class, or `balanced`, as in
            `crossentropy`; the source's α up to a factor.

    Returns:
        Losses, shape [batch]; with class weights a pair of losses and weights.

    Raises:
        UserError: An option is out of its range.
    """
    _check("gamma", gamma, from_zero=True)
    one_hot, log_p = _one_hot(targets, outputs), tf.nn.log_softmax(outputs)
    log_p_class = tf.reduce_sum(one_hot * log_p, axis=-1)
    # 1 - p_y is the sum of the other classes' p. The power is computed from its logarithm, so that
    # the gradient is finite even where 1 - p_y is 0 and gamma is below 1.
    log_p_others = tf.reduce_logsumexp(tf.where(one_hot > 0, log_p.dtype.min, log_p), axis=-1)
    values = -tf.exp(gamma * log_p_others) * log_p_class
    return _weighted(values, targets, outputs, class_weights)


def binary_crossentropy(
    targets: tf.Tensor, outputs: tf.Tensor, *, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Sigmoid cross-entropy of logits: the mean over k of -t_k log p_k - (1 - t_k) log(1 - p_k).

    p = sigmoid(outputs), and the gradient with respect to output k is p_k - t_k, divided by the
    number of outputs. For labels, t is one-hot: each class against the rest. Source: C. Bishop,
    "Pattern Recognition and Machine Learning", 2006, section 4.3.2.

    Args:
        targets: Values from 0 to 1, shape [batch, …], or labels, shape [batch].
        outputs: Logits, shape [batch, …] or [batch, classes].
        label_smoothing: ε, in [0, 1); t becomes (1 - ε) t + ε / 2.

    Returns:
        Losses in nats, shape [batch].

    Raises:
        UserError: `label_smoothing` is out of its range.
    """
    _check("label_smoothing", label_smoothing, from_zero=True, below=1)
    smoothed = _smoothed(_one_hot(targets, outputs), label_smoothing, 2)
    return _mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=smoothed, logits=outputs))


def hinge(targets: tf.Tensor, outputs: tf.Tensor, *, margin: float = 1.0) -> tf.Tensor:
    """Multi-class hinge loss: max(0, m + max_{k≠y} z_k - z_y), z = outputs.

    Source: K. Crammer, Y. Singer, "On the Algorithmic Implementation of Multiclass Kernel-based
    Vector Machines", JMLR 2, 2001.

    Args:
        targets: Labels, shape [batch].
        outputs: Scores, shape [batch, classes].
        margin: m, by which the score of an example's class must exceed all others; above 0.

    Returns:
        Losses, shape [batch].

    Raises:
        UserError: `margin` is not above 0.
    """
    _check("margin", margin)
    one_hot = _one_hot(targets, outputs)
    class_score = tf.reduce_sum(one_hot * outputs, axis=-1)
    other_score = tf.reduce_max(tf.where(one_hot > 0, outputs.dtype.min, outputs), axis=-1)
    # Not max(0, m + x): a graph would add m to the scores first, and rounding could drop it.
    return tf.maximum(other_score - class_score, -margin) + margin


def kl(targets: tf.Tensor, outputs: tf.Tensor, *, label_smoothing: float = 0.0) -> tf.Tensor:
    """Kullback-Leibler divergence: Σ_k t_k log(t_k / p_k), p = softmax(outputs), 0 log 0 = 0.

    The sum is over the last axis. The gradient with respect to the outputs is that of the
    cross-entropy, p - t; the minimum is 0. Source: T. Cover, J. Thomas, "Elements of Information
    Theory", 2006, section 2.3.

    Args:
        targets: Distributions over the last axis, shape [batch, …], each summing to 1; or labels,
            shape [batch], which are converted to one-hot vectors.
        outputs: Logits, shape [batch, …] or [batch, classes].
        label_smoothing: ε, in [0, 1); t becomes (1 - ε) t + ε / classes.

    Returns:
        Losses in nats, shape [batch].

    Raises:
        UserError: `label_smoothing` is out of its range, or the model has one output.
    """
    _check("label_smoothing", label_smoothing, from_zero=True, below=1)
    num_classes = outputs.shape[-1]
    if num_classes < 2:
        raise UserError(
            "loss=kl: the model has one output, and the softmax of one number is always 1. "
            "Expected distributions over at least 2 values; for one value, use "
            "loss=binary_crossentropy."
        )
    smoothed = _smoothed(_one_hot(targets, outputs), label_smoothing, num_classes)
    # xlogy is 0 for t = 0, where t log t would be NaN.
    summands = tf.math.xlogy(smoothed, smoothed) - smoothed * tf.nn.log_softmax(outputs)
    return _mean(tf.reduce_sum(summands, axis=-1))


def mse(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean squared error: the mean over k of (t_k - o_k)².

    For labels, t is one-hot and o = p = softmax(outputs), whose Jacobian with respect to the logits
    z is ∂p_i/∂z_j = p_i (δ_ij - p_j).

    Args:
        targets: Values, shape [batch, …], or labels, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].

    Returns:
        Losses, shape [batch].
    """
    return _mean(tf.square(_errors(targets, outputs)))


def mae(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean absolute error: the mean over k of |t_k - o_k|.

    For labels, t is one-hot and o = softmax(outputs).

    Args:
        targets: Values, shape [batch, …], or labels, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].

    Returns:
        Losses, shape [batch].
    """
    return _mean(tf.abs(_errors(targets, outputs)))


def huber(targets: tf.Tensor, outputs: tf.Tensor, *, delta: float = 1.0) -> tf.Tensor:
    """Huber loss: the mean over k of e_k² / 2 where |e_k| ≤ δ, else of δ (|e_k| - δ / 2).

    e = t - o; for labels, t is one-hot and o = softmax(outputs). Source: P. Huber, "Robust
    Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964.

    Args:
        targets: Values, shape [batch, …], or labels, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].
        delta: δ, the error beyond which the loss is linear; above 0. Its unit is the standard
            deviation of the targets if the data standardizes them (`data.standardize_targets`), so
            that 1.0 suits targets in any unit; otherwise, it is the targets' unit.

    Returns:
        Losses, shape [batch].

    Raises:
        UserError: `delta` is not above 0.
    """
    _check("delta", delta)
    sizes = tf.abs(_errors(targets, outputs))
    within = tf.minimum(sizes, delta)  # the square of a large error could overflow
    return _mean(0.5 * tf.square(within) + delta * (sizes - within))


def log_cosh(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Log-cosh loss: the mean over k of log cosh(t_k - o_k).

    For small errors it is half the square, for large ones the absolute value minus log 2; the
    gradient with respect to output k is tanh(o_k - t_k), divided by the number of outputs. For
    labels, t is one-hot and o = softmax(outputs).

    Args:
        targets: Values, shape [batch, …], or labels, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].

    Returns:
        Losses, shape [batch].
    """
    sizes = tf.abs(_errors(targets, outputs))
    # log cosh e = |e| + log((1 + exp(-2|e|)) / 2), since cosh overflows float32 from 90 on.
    return _mean(sizes + tf.math.log1p(0.5 * tf.math.expm1(-2.0 * sizes)))


def quantile(targets: tf.Tensor, outputs: tf.Tensor, *, quantile: float = 0.5) -> tf.Tensor:
    """Quantile (pinball) loss: the mean over k of max(q e_k, (q - 1) e_k), e = t - o.

    The outputs that minimize it are the q-quantiles of the targets. Source: R. Koenker, G. Bassett,
    "Regression Quantiles", Econometrica 46, 1978.

    Args:
        targets: Values, shape [batch, …].
        outputs: Predictions, shape [batch, …].
        quantile: q, between 0 and 1; with 0.5 the loss is half the mean absolute error.

    Returns:
        Losses, shape [batch].

    Raises:
        UserError: `quantile` is out of its range.
    """
    _check("quantile", quantile, below=1)
    errors = _errors(targets, outputs)
    return _mean(tf.maximum(quantile * errors, (quantile - 1.0) * errors))


def poisson(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Poisson loss, the negative log-likelihood of counts: the mean over k of λ_k - t_k log λ_k.

    The rate is λ = softplus(outputs) = log(1 + exp(outputs)). The constant log t_k! is omitted, so
    the minimum is not 0 and can be negative. Source: P. McCullagh, J. Nelder, "Generalized Linear
    Models", 1989, chapter 6, where the rate is exp(outputs).

    Args:
        targets: Counts, or other values of at least 0, shape [batch, …].
        outputs: The inputs of softplus, shape [batch, …].

    Returns:
        Losses in nats, shape [batch].
    """
    # Below -20, log softplus(x) = x in float32, and softplus(x) itself underflows further down.
    log_rates = tf.where(
        outputs > -20.0, tf.math.log(tf.nn.softplus(tf.maximum(outputs, -20.0))), outputs
    )
    return _mean(tf.nn.softplus(outputs) - targets * log_rates)


def cosine(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Cosine distance, 1 minus the cosine similarity: 1 - t·o / (|t| |o|), from 0 to 2.

    All axes except the first form one vector, of at least two values: the cosine of one value is
    its sign, whose gradient is 0 everywhere. The loss of a zero vector, which has no angle, is 1.
    For labels, t is one-hot and o = softmax(outputs).

    Args:
        targets: Values, shape [batch, …], or labels, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].

    Returns:
        Losses, shape [batch].

    Raises:
        UserError: The model has one output.
    """
    targets, outputs = _comparable(targets, outputs)
    if math.prod(outputs.shape[1:]) < 2:
        raise UserError(
            "loss=cosine: the model has one output, and the cosine of one value has a gradient of "
            "0 everywhere, so the model would not learn. Expected at least 2 values; for one "
            "value, use loss=mse."
        )
    # Means in place of sums: the number of values cancels out.
    norms = tf.math.rsqrt(tf.maximum(_mean(tf.square(targets)), _EPSILON))
    norms *= tf.math.rsqrt(tf.maximum(_mean(tf.square(outputs)), _EPSILON))
    return 1.0 - _mean(targets * outputs) * norms


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Averages over all axes except the first."""
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _one_hot(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Returns labels as one-hot vectors, and other targets unchanged."""
    if targets.dtype.is_integer:
        return tf.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
    return targets


def _comparable(targets: tf.Tensor, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns labels as one-hot vectors and their logits as probabilities; others unchanged."""
    probabilities = tf.nn.softmax(outputs) if targets.dtype.is_integer else outputs
    return _one_hot(targets, outputs), probabilities


def _errors(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    targets, outputs = _comparable(targets, outputs)
    return targets - outputs


def _smoothed(probabilities: tf.Tensor, label_smoothing: float, num_outcomes: int) -> tf.Tensor:
    return (1.0 - label_smoothing) * probabilities + label_smoothing / num_outcomes


def _weighted(
    values: tf.Tensor,
    targets: tf.Tensor,
    outputs: tf.Tensor,
    class_weights: Sequence[float] | None,
) -> Values:
    """Adds the weight of each example's class if there are class weights.

    Raises:
        UserError: `class_weights` is not a list of one positive number per class.
    """
    if class_weights is None:
        return values
    # Checked while tracing: on a GPU, tf.gather would return 0 for a label without a weight.
    num_classes = outputs.shape[-1]
    is_list = isinstance(class_weights, Sequence) and len(class_weights) == num_classes
    if not is_list or not all(
        is_number(weight) and 0 < weight < math.inf for weight in class_weights
    ):
        raise UserError(
            f"loss.class_weights={class_weights}: expected a list of {num_classes} positive "
            "numbers, one for each class, balanced, or null."
        )
    return values, tf.gather(tf.constant(class_weights, values.dtype), targets)


def _check(option: str, value: object, *, from_zero: bool = False, below: float = math.inf) -> None:
    """Checks that an option is a number above 0 (or at least 0) and below a bound.

    Raises:
        UserError: The value is not such a number.
    """
    if not is_number(value) or not 0 <= value < below or (value == 0 and not from_zero):
        least = "of at least 0" if from_zero else "above 0"
        most = f" and below {below}" if below < math.inf else ""
        raise UserError(f"loss.{option}={value}: expected a number {least}{most}.")
