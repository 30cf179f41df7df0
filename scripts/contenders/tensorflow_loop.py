"""Trains with the loop of TensorFlow's guide: one `tf.function` for a step, `tf.data` for batches.

    python -m scripts.contenders.tensorflow_loop DATA.npz

Source: "Writing a training loop from scratch in TensorFlow",
https://keras.io/guides/writing_a_custom_training_loop_in_tensorflow.
"""

from typing import Any

import keras
import tensorflow as tf
from scripts.contenders.common import EpochClock, make_task, task_parser
from scripts.contenders.keras_models import make_model


def main() -> None:
    """Trains, and prints the results."""
    task = make_task(task_parser(__doc__.splitlines()[0] if __doc__ else None).parse_args())
    model, arrays = make_model(task), task.arrays
    optimizer = keras.optimizers.Adam(task.learning_rate)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    mean_loss = keras.metrics.Mean()

    @tf.function
    def train_step(inputs: Any, targets: Any) -> None:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            value = loss(targets, logits)
        gradients = tape.gradient(value, model.trainable_weights)
        optimizer.apply(gradients, model.trainable_weights)
        mean_loss.update_state(value)
        accuracy.update_state(targets, logits)

    @tf.function
    def test_step(inputs: Any, targets: Any) -> None:
        logits = model(inputs, training=False)
        mean_loss.update_state(loss(targets, logits), sample_weight=tf.shape(targets)[0])
        accuracy.update_state(targets, logits)

    def result() -> float:
        value = float(mean_loss.result())
        float(accuracy.result())
        mean_loss.reset_state()
        accuracy.reset_state()
        return value

    train = tf.data.Dataset.from_tensor_slices((arrays["x_train"], arrays["y_train"]))
    train = train.shuffle(len(arrays["x_train"])).batch(task.batch_size)
    held_out = tf.data.Dataset.from_tensor_slices((arrays["x_validation"], arrays["y_validation"]))
    held_out = held_out.batch(task.batch_size)
    clock, train_loss, validation_loss = EpochClock(), 0.0, 0.0
    for _ in range(task.epochs):
        for inputs, targets in train:
            train_step(inputs, targets)
        train_loss = result()
        for inputs, targets in held_out:
            test_step(inputs, targets)
        validation_loss = result()
        clock.end_epoch()
    clock.report(task, train_loss, validation_loss)


if __name__ == "__main__":
    main()
