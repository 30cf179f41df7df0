"""Losses: one value for each example; the mean over the batch is taken in one place, by the step.

A loss gets targets first and outputs second. Outputs of classifiers are logits of shape
[batch, classes] with int32 targets of shape [batch]; other outputs have the shape of their float
targets, [batch, …]. Values are averaged over all axes but the first.

With class weights a loss returns two tensors of shape [batch], the values and the weights of the
examples' classes; the step and evaluations then divide Σ w_i l_i by Σ w_i, in which w is the
product of an example's weight and that of its class. A user's loss may return such a pair, too.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from expt.errors import UserError
from expt.parts.numbers import is_number

_EPSILON = 1e-12

Values: TypeAlias = "tf.Tensor | tuple[tf.Tensor, tf.Tensor]"
"""A value for each example, shape [batch]; or values and how much each of them counts."""


def crossentropy(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Values:
    """Cross-entropy of the softmax of logits: -Σ_k t_k log p_k, p = softmax(outputs).

    Its gradient with respect to the logits is p - t; t is onehot(y) unless smoothed. Sources: I.
    Goodfellow et al., "Deep Learning", 2016, section 6.2.2.3; C. Szegedy et al., "Rethinking the
    Inception Architecture for Computer Vision", arXiv:1512.00567, section 7.

    Args:
        targets: Class numbers, shape [batch].
        outputs: Logits, shape [batch, classes].
        label_smoothing: ε in t = (1 - ε) onehot(y) + ε / classes.
        class_weights: How much the examples of each class count in the mean over a batch or
            split, which is divided by the sum of the weights, as PyTorch and scikit-learn do:
            only their ratios matter. A config may say `balanced`, which becomes the weights of
            the train split before the loss is made. With label smoothing, too, the weight is
            that of the example's own class.

    Returns:
        Shape [batch], in nats; with class weights a pair of such, values and weights.
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
    """Focal loss: -(1 - p_y)^γ log p_y, p = softmax(outputs): easy examples weigh less.

    Source: T. Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, equation 5,
    with the softmax in place of the sigmoid.

    Args:
        targets: Class numbers, shape [batch].
        outputs: Logits, shape [batch, classes].
        gamma: γ; 0 gives the cross-entropy.
        class_weights: As in `crossentropy`; the ratios of the source's α.

    Returns:
        Shape [batch]; with class weights a pair of such, values and weights.
    """
    _check("gamma", gamma, from_zero=True)
    one_hot, log_p = _one_hot(targets, outputs), tf.nn.log_softmax(outputs)
    log_p_class = tf.reduce_sum(one_hot * log_p, axis=-1)
    # 1 - p_y is the sum of the other classes' p. The power is taken of its logarithm, whose
    # gradient is finite even where 1 - p_y is 0 and gamma below 1.
    log_p_others = tf.reduce_logsumexp(tf.where(one_hot > 0, log_p.dtype.min, log_p), axis=-1)
    values = -tf.exp(gamma * log_p_others) * log_p_class
    return _weighted(values, targets, outputs, class_weights)


def binary_crossentropy(
    targets: tf.Tensor, outputs: tf.Tensor, *, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Binary cross-entropy: the mean over k of -t_k log p_k - (1 - t_k) log(1 - p_k).

    p = sigmoid(outputs), and the gradient with respect to an output is p_k - t_k, divided by the
    number of outputs. For class targets, t is one-hot: each class against the rest. Source: C.
    Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.3.2.

    Args:
        targets: Values from 0 to 1, shape [batch, …], or class numbers, shape [batch].
        outputs: Logits, shape [batch, …] or [batch, classes].
        label_smoothing: ε; t becomes (1 - ε) t + ε / 2.

    Returns:
        Shape [batch], in nats.
    """
    _check("label_smoothing", label_smoothing, from_zero=True, below=1)
    smoothed = _smoothed(_one_hot(targets, outputs), label_smoothing, 2)
    return _mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=smoothed, logits=outputs))


def hinge(targets: tf.Tensor, outputs: tf.Tensor, *, margin: float = 1.0) -> tf.Tensor:
    """Multi-class hinge loss: max(0, m + max_{k≠y} z_k - z_y), z = outputs.

    Source: K. Crammer, Y. Singer, "On the Algorithmic Implementation of Multiclass Kernel-based
    Vector Machines", JMLR 2, 2001.

    Args:
        targets: Class numbers, shape [batch].
        outputs: Scores, shape [batch, classes].
        margin: m, by which the score of an example's class has to exceed all others.

    Returns:
        Shape [batch].
    """
    _check("margin", margin)
    one_hot = _one_hot(targets, outputs)
    of_class = tf.reduce_sum(one_hot * outputs, axis=-1)
    of_others = tf.reduce_max(tf.where(one_hot > 0, outputs.dtype.min, outputs), axis=-1)
    # max(0, m + x) in this form: a graph would add m to scores, which far from 0 rounds it away.
    return tf.maximum(of_others - of_class, -margin) + margin


def kl(targets: tf.Tensor, outputs: tf.Tensor, *, label_smoothing: float = 0.0) -> tf.Tensor:
    """Kullback-Leibler divergence: Σ_k t_k log(t_k / p_k), p = softmax(outputs), 0 log 0 = 0.

    The sum is over the last axis. The gradient with respect to the outputs is that of the
    cross-entropy, p - t; the least value is 0. Source: T. Cover, J. Thomas, "Elements of
    Information Theory", 2006, section 2.3.

    Args:
        targets: Distributions over the last axis, shape [batch, …], each with the sum 1; or class
            numbers, shape [batch], of which one-hot distributions are made.
        outputs: Logits, shape [batch, …] or [batch, classes].
        label_smoothing: ε; t becomes (1 - ε) t + ε / classes.

    Returns:
        Shape [batch], in nats.
    """
    _check("label_smoothing", label_smoothing, from_zero=True, below=1)
    num_classes = outputs.shape[-1]
    if num_classes < 2:
        raise UserError(
            "loss=kl: the model has one output, and the softmax of one number is always 1. "
            "Expected distributions over at least 2 values; for one value, take "
            "loss=binary_crossentropy."
        )
    smoothed = _smoothed(_one_hot(targets, outputs), label_smoothing, num_classes)
    summands = tf.math.xlogy(smoothed, smoothed) - smoothed * tf.nn.log_softmax(outputs)
    return _mean(tf.reduce_sum(summands, axis=-1))


def mse(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean squared error: the mean over k of (t_k - o_k)².

    For class targets, t is one-hot and o = softmax(outputs), whose Jacobian is
    ∂p_i/∂z_j = p_i (δ_ij - p_j).

    Args:
        targets: Values, shape [batch, …], or class numbers, shape [batch].
        outputs: Predictions, shape [batch, …], or logits, shape [batch, classes].

    Returns:
        Shape [batch].
    """
    return _mean(tf.square(_errors(targets, outputs)))


def mae(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean absolute error: the mean over k of |t_k - o_k|.

    Shapes, and what t and o are for class targets: as in `mse`.
    """
    return _mean(tf.abs(_errors(targets, outputs)))


def huber(targets: tf.Tensor, outputs: tf.Tensor, *, delta: float = 1.0) -> tf.Tensor:
    """Huber's loss: the mean over k of e_k² / 2 where |e_k| ≤ δ, else of δ (|e_k| - δ / 2).

    e = t - o; for class targets as in `mse`. Source: P. Huber, "Robust Estimation of a Location
    Parameter", Annals of Mathematical Statistics 35, 1964.

    Args:
        targets: As in `mse`.
        outputs: As in `mse`.
        delta: δ, the error from which on the loss grows linearly: in standard deviations of the
            targets where the data standardizes them (`data.standardize_targets`), so that 1.0
            suits targets of any unit; else in the targets' unit.

    Returns:
        Shape [batch].
    """
    _check("delta", delta)
    sizes = tf.abs(_errors(targets, outputs))
    within = tf.minimum(sizes, delta)  # no square of a large error, which could overflow
    return _mean(0.5 * tf.square(within) + delta * (sizes - within))


def log_cosh(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Log-cosh loss: the mean over k of log cosh(t_k - o_k).

    Near 0 it is half the square, far away the absolute value less log 2; the gradient with
    respect to an output is tanh(o_k - t_k), divided by the number of outputs. Shapes, and what t
    and o are for class targets: as in `mse`.
    """
    sizes = tf.abs(_errors(targets, outputs))
    # cosh e = exp|e| (1 + exp(-2|e|)) / 2, of which nothing overflows in this form.
    return _mean(sizes + tf.math.log1p(0.5 * tf.math.expm1(-2.0 * sizes)))


def quantile(targets: tf.Tensor, outputs: tf.Tensor, *, quantile: float = 0.5) -> tf.Tensor:
    """Pinball loss: the mean over k of max(q e_k, (q - 1) e_k), e = t - o.

    The outputs that make it least are the q-th quantiles of the targets. Source: R. Koenker, G.
    Bassett, "Regression Quantiles", Econometrica 46, 1978.

    Args:
        targets: Values, shape [batch, …].
        outputs: Predictions, shape [batch, …].
        quantile: q; 0.5 gives half the mean absolute error.

    Returns:
        Shape [batch].
    """
    _check("quantile", quantile, below=1)
    errors = _errors(targets, outputs)
    return _mean(tf.maximum(quantile * errors, (quantile - 1.0) * errors))


def poisson(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of counts: the mean over k of λ_k - t_k log λ_k.

    The rate is λ = softplus(outputs) = log(1 + exp(outputs)). The constant log t_k! is left out,
    so the least value is not 0 and can be negative. Source: P. McCullagh, J. Nelder, "Generalized
    Linear Models", 1989, chapter 6, where the rate is the exponential.

    Args:
        targets: Counts, or other values from 0 on, shape [batch, …].
        outputs: What the rates are the softplus of, shape [batch, …].

    Returns:
        Shape [batch], in nats.
    """
    # Below -20, log softplus(x) is x to all digits, and softplus(x) itself soon is 0.
    log_rates = tf.where(
        outputs > -20.0, tf.math.log(tf.nn.softplus(tf.maximum(outputs, -20.0))), outputs
    )
    return _mean(tf.nn.softplus(outputs) - targets * log_rates)


def cosine(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """One less the cosine of the angle between t and o: 1 - t·o / (|t| |o|), from 0 to 2.

    All axes but the first are one vector, of at least two values: of one value the cosine is its
    sign, and the gradient 0 everywhere. A vector of zeros has no angle: its loss is 1. Shapes, and
    what t and o are for class targets: as in `mse`.
    """
    targets, outputs = _comparable(targets, outputs)
    if math.prod(outputs.shape[1:]) < 2:
        raise UserError(
            "loss=cosine: the model has one output, and the angle to one number has the gradient "
            "0 everywhere, so that nothing would be learned. Expected at least 2 values; for one "
            "value, use loss=mse."
        )
    # Means in place of sums: the number of values cancels out.
    norms = tf.math.rsqrt(tf.maximum(_mean(tf.square(targets)), _EPSILON))
    norms *= tf.math.rsqrt(tf.maximum(_mean(tf.square(outputs)), _EPSILON))
    return 1.0 - _mean(targets * outputs) * norms


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Averages over all axes but the first."""
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _one_hot(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Makes class targets one-hot; leaves values as they are."""
    if targets.dtype.is_integer:
        return tf.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
    return targets


def _comparable(targets: tf.Tensor, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes class targets one-hot and their logits probabilities; leaves values as they are."""
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
    """Adds the weight of each example's class, if classes have weights."""
    if class_weights is None:
        return values
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
    """Checks an option that is a number above 0, or from 0 on, and below a bound."""
    if not is_number(value) or not 0 <= value < below or (value == 0 and not from_zero):
        least = "from 0 on" if from_zero else "above 0"
        most = f" and below {below}" if below < math.inf else ""
        raise UserError(f"loss.{option}={value}: expected a number {least}{most}.")
