"""Metrics: one number for a whole batch or a whole split, never a mean of batches' means.

Arguments are those of the losses: targets first, then outputs. Outputs are logits for class
targets, and else predictions. `weights` say how much each example counts, as scikit-learn's
`sample_weight`: a weight of 2 is the example twice, a weight of 0 the example left out. A metric
of a user's own that has no such argument counts all examples alike.
"""

import tensorflow as tf

from expt.errors import UserError, hint
from expt.parts.numbers import is_count

_AVERAGES = ("macro", "micro", "weighted", "binary")


def accuracy(
    targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """The fraction of examples whose largest logit is that of their class.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        weights: How much each example counts, shape [examples]; None counts all alike.
    """
    predicted = tf.argmax(outputs, axis=-1, output_type=targets.dtype)
    return _fraction(predicted == targets, weights)


def top_k(
    targets: tf.Tensor, outputs: tf.Tensor, *, k: int = 5, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """The fraction of examples whose class is among those of the k largest logits.

    Of equal logits the lower class's counts as larger, so that k = 1 gives the accuracy.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        k: From 1 to the number of classes.
        weights: As in `accuracy`.
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
    """Of the examples predicted as a class, the fraction that is of it.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: How one number is made of the classes'. As in scikit-learn, `macro` is the mean
            over the classes that occur in targets or predictions; `weighted` is the mean weighted
            by each class's examples; `micro` takes all classes' counts together, which gives the
            accuracy; `binary` is the value of one of two classes. A class's fraction of nothing
            is 0.
        positive: The class of `binary`; None is the last.
        weights: As in `accuracy`.
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
    """Of the examples of a class, the fraction predicted as it. Arguments: as in `precision`."""
    return _class_average("recall", targets, outputs, average, positive, weights, 0.0)


def f1(
    targets: tf.Tensor,
    outputs: tf.Tensor,
    *,
    average: str = "macro",
    positive: int | None = None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """The harmonic mean of a class's precision and recall. Arguments: as in `precision`."""
    return _class_average("f1", targets, outputs, average, positive, weights, 0.5)


def auc(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Area under the ROC curve of each class against the rest, by its score; their mean.

    A class's area is the fraction of pairs of one of its examples and another that its score puts
    in order; a tie counts half. With weights, a pair counts the product of its examples'. The mean
    is over the classes that have such pairs; of two classes the area is the second's. If no class
    has pairs, because all examples are of one class, the value is 0.5, as for outputs that tell
    nothing: a batch can be so, and NaN would spoil its record. Source: T. Fawcett, "An
    Introduction to ROC Analysis", Pattern Recognition Letters 27, 2006.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Scores, shape [examples, classes], of which a larger one means that the class is
            likelier: the config's declaration `_takes_` asks for log-odds, since probabilities of
            float32 are equal where logits are not.
        weights: As in `accuracy`.
    """
    positives = tf.one_hot(targets, outputs.shape[-1], axis=0, dtype=tf.float64)
    scores = tf.transpose(outputs)
    if outputs.shape[-1] == 2:  # after a softmax both have the same curve
        positives, scores = positives[1:], scores[1:]
    negatives = 1.0 - positives
    if weights is not None:
        counted = tf.cast(weights, tf.float64)
        positives, negatives = counted * positives, counted * negatives
    pairs = tf.reduce_sum(positives, axis=1) * tf.reduce_sum(negatives, axis=1)
    areas = tf.math.divide_no_nan(_ordered_pairs(positives, negatives, scores), pairs)
    num_areas = tf.math.count_nonzero(pairs, dtype=tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(areas), num_areas)
    return tf.cast(tf.where(num_areas > 0, mean, 0.5), tf.float32)


def mae(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Mean absolute error over all values of all examples, in the targets' unit.

    Args:
        targets: Values, shape [examples, …].
        outputs: Predictions of the same shape.
        weights: As in `accuracy`.
    """
    return tf.reduce_mean(_mean_over_examples(tf.abs(targets - outputs), weights))


def rmse(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Root of the mean squared error over all values of all examples, in the targets' unit.

    Of several outputs it is the root of their common mean, as in Keras and torchmetrics, and its
    square is the mean of the outputs' squared errors. scikit-learn's `root_mean_squared_error` is
    the mean of the outputs' roots, which is smaller if their errors differ. Arguments: as in `mae`.
    """
    return tf.sqrt(tf.reduce_mean(_mean_over_examples(tf.square(targets - outputs), weights)))


def r2(targets: tf.Tensor, outputs: tf.Tensor, *, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Coefficient of determination: 1 - Σ(t - o)² / Σ(t - t̄)², the mean over an example's values.

    The weighted sums and means t̄ are over the examples, for each value by itself. As in
    scikit-learn, a value that is the same in all examples counts 1 if predicted without error and
    else 0.

    Args:
        targets: Values, shape [examples, …].
        outputs: Predictions of the same shape.
        weights: As in `accuracy`.
    """
    unexplained = _mean_over_examples(tf.square(targets - outputs), weights)
    centre = _mean_over_examples(targets, weights)
    total = _mean_over_examples(tf.square(targets - centre), weights)
    if weights is not None:  # one of weight 0 must not make a constant vary
        is_counted = tf.reshape(weights > 0, (-1, *[1] * (targets.shape.rank - 1)))
        targets = tf.where(is_counted, targets, targets[tf.argmax(weights)])
    # Where the mean is rounded, the total of a constant is not quite 0.
    is_constant = tf.reduce_min(targets, axis=0) == tf.reduce_max(targets, axis=0)
    varies = tf.logical_not(is_constant) & (total > 0)
    of_varying = 1.0 - unexplained / tf.where(varies, total, 1.0)
    of_constant = tf.cast(unexplained == 0, total.dtype)
    return tf.reduce_mean(tf.where(varies, of_varying, of_constant))


def _fraction(is_right: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns the fraction of the examples for which something is true, float32."""
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
    # What has no weight may have any value, NaN too.
    counted = tf.where(shares > 0, values, tf.zeros_like(values))
    return tf.reduce_sum(shares * counted, axis=0)


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

    1 / (α / P + (1 - α) / R) = correct / (α predicted + (1 - α) actual), of the numbers of a
    class's examples. Source: C. van Rijsbergen, "Information Retrieval", 1979, chapter 7.

    Args:
        metric: Its name, for messages.
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: `macro`, `micro`, `weighted` or `binary`; see `precision`.
        positive: The class of `binary`; None is the last.
        weights: Of the examples, or None.
        precision_weight: α.
    """
    num_classes = outputs.shape[-1]
    _check_average(metric, average, positive, num_classes)
    is_actual = tf.one_hot(targets, num_classes, dtype=tf.float64)
    is_predicted = tf.one_hot(tf.argmax(outputs, axis=-1), num_classes, dtype=tf.float64)
    counted = tf.ones_like(is_actual[:, 0]) if weights is None else tf.cast(weights, tf.float64)
    actual, predicted, correct = (
        tf.linalg.matvec(of_class, counted, transpose_a=True)
        for of_class in (is_actual, is_predicted, is_actual * is_predicted)
    )
    compared = precision_weight * predicted + (1.0 - precision_weight) * actual
    if average == "micro":
        correct, compared = (tf.reduce_sum(n, keepdims=True) for n in (correct, compared))
    values = tf.math.divide_no_nan(correct, compared)
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
            "macro, micro and weighted are for any number."
        )
    if average != "binary" and positive is not None:
        raise UserError(
            f"metric.{metric}.positive={positive}: average={average} is over all classes; "
            f"expected null, or metric.{metric}.average=binary."
        )


def _ordered_pairs(positives: tf.Tensor, negatives: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Counts, in each row, the pairs in which a positive's score exceeds a negative's.

    A tie is half a pair. Time is that of sorting; memory that of the arguments.

    Args:
        positives: The weight of each positive, and 0 for negatives, float64 so that counts are
            exact, shape [rows, examples].
        negatives: The weight of each negative, and 0 for positives.
        scores: Shape [rows, examples].

    Returns:
        Shape [rows], float64.
    """
    num_rows, num_examples = scores.shape
    descending, order = tf.math.top_k(scores, num_examples)
    # Examples of the same score make a group; groups are numbered on from row to row.
    is_new = tf.cast(descending[:, 1:] != descending[:, :-1], tf.int32)
    groups = tf.cumsum(tf.pad(is_new, [[0, 0], [1, 0]]), axis=1)
    groups += num_examples * tf.range(num_rows)[:, None]

    def count(examples: tf.Tensor) -> tf.Tensor:
        in_order = tf.gather(examples, order, batch_dims=1)
        of_groups = tf.math.unsorted_segment_sum(in_order, groups, num_rows * num_examples)
        return tf.reshape(of_groups, (num_rows, num_examples))

    num_positives, num_negatives = count(positives), count(negatives)
    num_below = tf.cumsum(num_negatives, axis=1, exclusive=True, reverse=True)
    return tf.reduce_sum(num_positives * (num_below + num_negatives / 2.0), axis=1)
