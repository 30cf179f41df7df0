"""Metrics: functions that return one number for a whole batch or a whole split.

A metric is never averaged over batches: the mean of the batches' F1 scores is not the F1 score of
the split. As in losses, the targets come first and the outputs second. Outputs are logits if
the targets are labels, else predictions. `weights` is the weight of each example, as
scikit-learn's `sample_weight`: a weight of 2 counts an example twice, a weight of 0 leaves it out.
A custom metric without this argument counts all examples equally.
"""

import tensorflow as tf

from expt.errors import UserError, hint
from expt.parts.numbers import is_count

_AVERAGES = ("macro", "micro", "weighted", "binary")


def accuracy(
    targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Accuracy: the fraction of examples whose largest logit is that of their class.

    Args:
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.
    """
    predicted = tf.argmax(outputs, axis=-1, output_type=targets.dtype)
    return _fraction(predicted == targets, weights)


def top_k(
    targets: tf.Tensor, outputs: tf.Tensor, *, k: int = 5, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Top-k accuracy: the fraction of examples whose class is among the k largest logits.

    Of equal logits, that of the lower label counts as larger, so that k = 1 is the accuracy.

    Args:
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        k: Number of logits that count as a hit, from 1 to the number of classes.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.

    Raises:
        UserError: `k` is out of its range.
    """
    num_classes = outputs.shape[-1]
    if not is_count(k) or k > num_classes:
        raise UserError(
            f"metric.top_k.k={k}: expected a whole number from 1 to {num_classes}, the number of "
            "classes."
        )
    largest = tf.math.top_k(outputs, k).indices
    is_among = tf.reduce_any(largest == tf.cast(targets, largest.dtype)[:, None], axis=-1)
    return _fraction(is_among, weights)


def precision(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    average: str = "macro",
    positive: int | None = None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Precision: the fraction of the examples predicted as a class that belong to it.

    The precision of a class that is never predicted is 0.

    Args:
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: Reduction over classes, as in scikit-learn. `macro`: mean over the classes that
            occur in targets or predictions. `weighted`: mean weighted by the number of examples of
            each class. `micro`: from the counts of all classes together, which is the accuracy.
            `binary`: the value of one of two classes.
        positive: Label of the class whose value `binary` returns; None is the last class. A config
            gives the name of the class instead.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.

    Raises:
        UserError: `average` is unknown or does not suit the number of classes, or `positive` is
            given without `binary`.
    """
    return _class_average("precision", targets, outputs, average, positive, weights, 1.0)


def recall(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    average: str = "macro",
    positive: int | None = None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Recall: the fraction of the examples of a class that are predicted to belong to it.

    The recall of a class without examples is 0.

    Args:
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: Reduction over classes: `macro`, `weighted`, `micro` or `binary`; see `precision`.
        positive: Label of the class whose value `binary` returns; None is the last class. A config
            gives the name of the class instead.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.

    Raises:
        UserError: See `precision`.
    """
    return _class_average("recall", targets, outputs, average, positive, weights, 0.0)


def f1(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    average: str = "macro",
    positive: int | None = None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """F1 score: the harmonic mean 2 P R / (P + R) of a class's precision P and recall R.

    Args:
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: Reduction over classes: `macro`, `weighted`, `micro` or `binary`; see `precision`.
        positive: Label of the class whose value `binary` returns; None is the last class. A config
            gives the name of the class instead.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.

    Raises:
        UserError: See `precision`.
    """
    return _class_average("f1", targets, outputs, average, positive, weights, 0.5)


def auc(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Area under the ROC curve: the mean over classes, each against the rest.

    The area of a class is the fraction of pairs, of one of its examples and one of another class,
    that its score ranks correctly; a tie counts half. With weights, a pair counts the product of
    the weights of its examples. The mean is over the classes that have such pairs; for two classes,
    it is the area of the second. If all examples are of one class, the value is 0.5, as for a
    random score. Source: T. Fawcett, "An Introduction to ROC Analysis", Pattern Recognition Letters
    27, 2006.

    Args:
        targets: Labels, shape [examples].
        outputs: Scores, shape [examples, classes]; the larger, the likelier the class. In a config,
            `_takes_: log_odds` requests log-odds, since different logits can have equal float32
            probabilities.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar from 0 to 1.
    """
    positives = tf.one_hot(targets, outputs.shape[-1], axis=0, dtype=tf.float64)
    scores = tf.transpose(outputs)
    if outputs.shape[-1] == 2:  # the softmax of two classes gives both the same curve
        positives, scores = positives[1:], scores[1:]
    negatives = 1.0 - positives
    if weights is not None:
        example_weights = tf.cast(weights, tf.float64)
        positives, negatives = example_weights * positives, example_weights * negatives
    pairs = tf.reduce_sum(positives, axis=1) * tf.reduce_sum(negatives, axis=1)
    areas = tf.math.divide_no_nan(_ordered_pairs(positives, negatives, scores), pairs)
    num_areas = tf.math.count_nonzero(pairs, dtype=tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(areas), num_areas)
    # A batch of one class is legitimate, and NaN would leave a gap in the recorded curve.
    return tf.cast(tf.where(num_areas > 0, mean, 0.5), tf.float32)


def mae(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Mean absolute error: the mean of |t - o| over all values of all examples.

    Args:
        targets: Values t, shape [examples, …].
        outputs: Predictions o of the same shape.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar in the targets' unit.
    """
    return tf.reduce_mean(_mean_over_examples(tf.abs(targets - outputs), weights))


def rmse(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Root mean squared error: √ of the mean of (t - o)² over all values of all examples.

    For several outputs it is the root of their common mean, as in Keras and torchmetrics.
    scikit-learn's `root_mean_squared_error` is the mean of the outputs' roots, which is smaller if
    their errors differ.

    Args:
        targets: Values t, shape [examples, …].
        outputs: Predictions o of the same shape.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar in the targets' unit.
    """
    return tf.sqrt(tf.reduce_mean(_mean_over_examples(tf.square(targets - outputs), weights)))


def r2(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Coefficient of determination R²: 1 - Σ(t - o)² / Σ(t - t̄)², the mean over the outputs.

    The weighted sums and means t̄ are over the examples, separately for each output. As in
    scikit-learn, an output whose target is the same in all examples counts 1 if predicted without
    error, else 0.

    Args:
        targets: Values t, shape [examples, …].
        outputs: Predictions o of the same shape.
        weights: Weight of each example, shape [examples]; if None, all count equally.

    Returns:
        A scalar of at most 1.
    """
    unexplained = _mean_over_examples(tf.square(targets - outputs), weights)
    center = _mean_over_examples(targets, weights)
    total = _mean_over_examples(tf.square(targets - center), weights)
    if weights is not None:  # an example of weight 0 must not make a constant target vary
        has_weight = tf.reshape(weights > 0, (-1, *[1] * (targets.shape.rank - 1)))
        targets = tf.where(has_weight, targets, targets[tf.argmax(weights)])
    # Not total == 0: the rounded mean of equal values may differ from them.
    is_constant = tf.reduce_min(targets, axis=0) == tf.reduce_max(targets, axis=0)
    is_varying = tf.logical_not(is_constant) & (total > 0)
    varying_score = 1.0 - unexplained / tf.where(is_varying, total, 1.0)
    constant_score = tf.cast(unexplained == 0, total.dtype)
    return tf.reduce_mean(tf.where(is_varying, varying_score, constant_score))


def _fraction(is_right: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns the weighted fraction of true values, float32."""
    if weights is None:
        return tf.reduce_mean(tf.cast(is_right, tf.float32))
    return tf.cast(_mean_over_examples(tf.cast(is_right, tf.float64), weights), tf.float32)


def _mean_over_examples(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns Σ w_i v_i / Σ w_i of values of shape [examples, …]; 0 if all weights are 0."""
    if weights is None:
        return tf.reduce_mean(values, axis=0)
    shares = tf.cast(weights, tf.float64)
    shares = tf.cast(tf.math.divide_no_nan(shares, tf.reduce_sum(shares)), values.dtype)
    shares = tf.reshape(shares, (-1, *[1] * (values.shape.rank - 1)))
    # An example of weight 0 may have any value, and 0 · NaN would be NaN.
    finite = tf.where(shares > 0, values, tf.zeros_like(values))
    return tf.reduce_sum(shares * finite, axis=0)


def _class_average(
    metric: str,
    targets: tf.Tensor,
    outputs: tf.Tensor,
    average: str,
    positive: int | None,
    weights: tf.Tensor | None,
    precision_weight: float,
) -> tf.Tensor:
    """Averages the weighted harmonic mean of precision P and recall R over classes.

    The mean is 1 / (α / P + (1 - α) / R) = correct / (α predicted + (1 - α) actual), where the last
    three are counts of a class's examples. Source: C. van Rijsbergen, "Information Retrieval",
    1979, chapter 7.

    Args:
        metric: The metric's name, for messages.
        targets: Labels, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: `macro`, `micro`, `weighted` or `binary`; see `precision`.
        positive: The label whose value `binary` returns; None is the last.
        weights: Weight of each example, or None.
        precision_weight: α: 1 for precision, 0 for recall, 0.5 for F1.
    """
    num_classes = outputs.shape[-1]
    _check_average(metric, average, positive, num_classes)
    # float64, since float32 cannot count beyond 2**24 examples.
    is_actual = tf.one_hot(targets, num_classes, dtype=tf.float64)
    is_predicted = tf.one_hot(tf.argmax(outputs, axis=-1), num_classes, dtype=tf.float64)
    example_weights = (
        tf.ones_like(is_actual[:, 0]) if weights is None else tf.cast(weights, tf.float64)
    )
    actual, predicted, correct = (
        tf.linalg.matvec(is_member, example_weights, transpose_a=True)
        for is_member in (is_actual, is_predicted, is_actual * is_predicted)
    )
    mixture = precision_weight * predicted + (1.0 - precision_weight) * actual
    if average == "micro":
        correct, mixture = (tf.reduce_sum(n, keepdims=True) for n in (correct, mixture))
    values = tf.math.divide_no_nan(correct, mixture)
    if average == "binary":
        value = values[1 if positive is None else positive]
    elif average == "micro":
        value = values[0]
    else:
        shares = actual if average == "weighted" else tf.cast(actual + predicted > 0, tf.float64)
        value = tf.math.divide_no_nan(tf.reduce_sum(shares * values), tf.reduce_sum(shares))
    return tf.cast(value, tf.float32)


def _check_average(metric: str, average: str, positive: int | None, num_classes: int) -> None:
    if average not in _AVERAGES:
        raise UserError(f"metric.{metric}.average={average}: {hint(str(average), _AVERAGES)}")
    if average == "binary" and num_classes != 2:
        raise UserError(
            f"metric.{metric}.average=binary: the data has {num_classes} classes; expected two. "
            "macro, micro and weighted support any number."
        )
    if average != "binary" and positive is not None:
        raise UserError(
            f"metric.{metric}.positive={positive}: average={average} is over all classes; "
            f"expected null, or metric.{metric}.average=binary."
        )


def _ordered_pairs(positives: tf.Tensor, negatives: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Counts, in each row, the pairs in which a positive's score exceeds a negative's.

    A tie is half a pair. Takes n log n time and n memory for n examples.

    Args:
        positives: The weight of each positive, and 0 for negatives, shape [rows, examples]; float64
            so that counts are exact.
        negatives: The weight of each negative, and 0 for positives, of the same shape and type.
        scores: Shape [rows, examples].

    Returns:
        Weighted numbers of pairs, shape [rows], float64.
    """
    num_rows, num_examples = scores.shape
    descending, order = tf.math.top_k(scores, num_examples)
    # Examples of equal score form a group. Group numbers of a row start at row · num_examples, so
    # that one segment sum over all rows keeps the rows apart.
    is_new = tf.cast(descending[:, 1:] != descending[:, :-1], tf.int32)
    groups = tf.cumsum(tf.pad(is_new, [[0, 0], [1, 0]]), axis=1)
    groups += num_examples * tf.range(num_rows)[:, None]

    def count(examples: tf.Tensor) -> tf.Tensor:
        in_order = tf.gather(examples, order, batch_dims=1)
        sums = tf.math.unsorted_segment_sum(in_order, groups, num_rows * num_examples)
        return tf.reshape(sums, (num_rows, num_examples))

    num_positives, num_negatives = count(positives), count(negatives)
    num_below = tf.cumsum(num_negatives, axis=1, exclusive=True, reverse=True)
    return tf.reduce_sum(num_positives * (num_below + num_negatives / 2.0), axis=1)
