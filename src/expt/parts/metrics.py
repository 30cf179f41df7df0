"""Metrics: one number for a whole batch or a whole split, never a mean of batches' means.

Arguments are those of the losses: targets first, then outputs. Outputs are logits for class
targets, and else predictions.
"""

import tensorflow as tf

from expt.errors import UserError, hint

_AVERAGES = ("macro", "micro", "weighted")


def accuracy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """The fraction of examples whose largest logit is that of their class.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
    """
    predicted = tf.argmax(outputs, axis=-1, output_type=targets.dtype)
    return tf.reduce_mean(tf.cast(predicted == targets, tf.float32))


def top_k(targets: tf.Tensor, outputs: tf.Tensor, *, k: int = 5) -> tf.Tensor:
    """The fraction of examples whose class is among those of the k largest logits.

    Of equal logits the lower class's counts as larger, so that k = 1 gives the accuracy.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        k: From 1 to the number of classes.
    """
    num_classes = outputs.shape[-1]
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= num_classes:
        raise UserError(
            f"metric.top_k.k={k}: expected a whole number from 1 to {num_classes}, the number of "
            "classes."
        )
    largest = tf.math.top_k(outputs, k).indices
    is_among = tf.reduce_any(largest == tf.cast(targets, largest.dtype)[:, None], axis=-1)
    return tf.reduce_mean(tf.cast(is_among, tf.float32))


def precision(targets: tf.Tensor, outputs: tf.Tensor, *, average: str = "macro") -> tf.Tensor:
    """Of the examples predicted as a class, the fraction that is of it.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: How one number is made of the classes'. As in scikit-learn, `macro` is the mean
            over the classes that occur in targets or predictions; `weighted` is the mean weighted
            by each class's examples; `micro` takes all classes' counts together, which gives the
            accuracy. A class's fraction of nothing is 0.
    """
    return _class_average("precision", targets, outputs, average, precision_weight=1.0)


def recall(targets: tf.Tensor, outputs: tf.Tensor, *, average: str = "macro") -> tf.Tensor:
    """Of the examples of a class, the fraction predicted as it. Arguments: as in `precision`."""
    return _class_average("recall", targets, outputs, average, precision_weight=0.0)


def f1(targets: tf.Tensor, outputs: tf.Tensor, *, average: str = "macro") -> tf.Tensor:
    """The harmonic mean of a class's precision and recall. Arguments: as in `precision`."""
    return _class_average("f1", targets, outputs, average, precision_weight=0.5)


def auc(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Area under the ROC curve of each class against the rest, by probability; their mean.

    A class's area is the fraction of pairs of one of its examples and another that its softmax
    probability puts in order; a tie counts half. The mean is over the classes that have such
    pairs. If none has, because all examples are of one class, the value is 0.5, as for outputs
    that tell nothing: a batch can be so, and NaN would spoil its record. Source: T. Fawcett, "An
    Introduction to ROC Analysis", Pattern Recognition Letters 27, 2006.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
    """
    positives = tf.one_hot(targets, outputs.shape[-1], axis=0, dtype=tf.float64)
    probabilities = tf.transpose(tf.nn.softmax(outputs))
    if outputs.shape[-1] == 2:  # both have the same curve; of rounded ones, the second is usual
        positives, probabilities = positives[1:], probabilities[1:]
    pairs = tf.reduce_sum(positives, axis=1) * tf.reduce_sum(1.0 - positives, axis=1)
    areas = tf.math.divide_no_nan(_ordered_pairs(positives, probabilities), pairs)
    num_areas = tf.math.count_nonzero(pairs, dtype=tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(areas), num_areas)
    return tf.cast(tf.where(num_areas > 0, mean, 0.5), tf.float32)


def mae(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean absolute error, in the targets' unit. Both arguments: shape [examples, …]."""
    return tf.reduce_mean(tf.abs(targets - outputs))


def rmse(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Root of the mean squared error, in the targets' unit. Shapes: [examples, …]."""
    return tf.sqrt(tf.reduce_mean(tf.square(targets - outputs)))


def r2(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Coefficient of determination: 1 - Σ(t - o)² / Σ(t - t̄)², the mean over an example's values.

    The sums and t̄ are over the examples, for each value by itself. As in scikit-learn, a value
    that is the same in all examples counts 1 if predicted without error and else 0.

    Args:
        targets: Values, shape [examples, …].
        outputs: Predictions of the same shape.
    """
    unexplained = tf.reduce_sum(tf.square(targets - outputs), axis=0)
    total = tf.reduce_sum(tf.square(targets - tf.reduce_mean(targets, axis=0)), axis=0)
    # Where the mean is rounded, the total of a constant is not quite 0.
    is_constant = tf.reduce_min(targets, axis=0) == tf.reduce_max(targets, axis=0)
    varies = tf.logical_not(is_constant) & (total > 0)
    of_varying = 1.0 - unexplained / tf.where(varies, total, 1.0)
    of_constant = tf.cast(unexplained == 0, total.dtype)
    return tf.reduce_mean(tf.where(varies, of_varying, of_constant))


def _class_average(
    metric: str, targets: tf.Tensor, outputs: tf.Tensor, average: str, precision_weight: float
) -> tf.Tensor:
    """Averages the weighted harmonic mean of precision P and recall R over classes.

    1 / (α / P + (1 - α) / R) = correct / (α predicted + (1 - α) actual), of the numbers of a
    class's examples. Source: C. van Rijsbergen, "Information Retrieval", 1979, chapter 7.

    Args:
        metric: Its name, for messages.
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
        average: `macro`, `micro` or `weighted`; see `precision`.
        precision_weight: α.
    """
    if average not in _AVERAGES:
        raise UserError(f"metric.{metric}.average={average}: {hint(str(average), _AVERAGES)}")
    is_actual = tf.one_hot(targets, outputs.shape[-1])
    is_predicted = tf.one_hot(tf.argmax(outputs, axis=-1), outputs.shape[-1])
    actual, predicted = tf.reduce_sum(is_actual, axis=0), tf.reduce_sum(is_predicted, axis=0)
    correct = tf.reduce_sum(is_actual * is_predicted, axis=0)
    compared = precision_weight * predicted + (1.0 - precision_weight) * actual
    if average == "micro":
        return tf.reduce_sum(correct) / tf.reduce_sum(compared)
    weights = actual if average == "weighted" else tf.cast(actual + predicted > 0, tf.float32)
    values = tf.math.divide_no_nan(correct, compared)
    return tf.reduce_sum(weights * values) / tf.reduce_sum(weights)


def _ordered_pairs(positives: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Counts, in each row, the pairs in which a positive's score exceeds a negative's.

    A tie is half a pair. Time is that of sorting; memory that of the arguments.

    Args:
        positives: 1 for positives and 0 for negatives, float64 so that the counts are exact, shape
            [rows, examples].
        scores: Shape [rows, examples].

    Returns:
        Shape [rows], float64.
    """
    num_rows, num_examples = scores.shape
    descending, order = tf.math.top_k(scores, num_examples)
    in_order = tf.gather(positives, order, batch_dims=1)
    # Examples of the same score make a group; groups are numbered on from row to row.
    is_new = tf.cast(descending[:, 1:] != descending[:, :-1], tf.int32)
    groups = tf.cumsum(tf.pad(is_new, [[0, 0], [1, 0]]), axis=1)
    groups += num_examples * tf.range(num_rows)[:, None]

    def count(examples: tf.Tensor) -> tf.Tensor:
        of_groups = tf.math.unsorted_segment_sum(examples, groups, num_rows * num_examples)
        return tf.reshape(of_groups, (num_rows, num_examples))

    num_positives, num_negatives = count(in_order), count(1.0 - in_order)
    num_below = tf.cumsum(num_negatives, axis=1, exclusive=True, reverse=True)
    return tf.reduce_sum(num_positives * (num_below + num_negatives / 2.0), axis=1)
