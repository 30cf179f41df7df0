"""One batch before training: would this train at all?"""

import keras
import numpy as np
import tensorflow as tf

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.step import Function


def preflight(model: keras.Model, loss: Function, dataset: Dataset) -> None:
    """Runs the model and its loss forwards and backwards on one batch, and changes nothing.

    Raises:
        UserError: The model's outputs don't fit the data, the loss is not one finite value for
            each example, or a variable gets no gradient.
    """
    size = dataset.batch_size
    inputs = tf.constant(dataset.train.inputs[:size])
    targets = tf.constant(dataset.train.targets[:size])
    expected = (size, dataset.num_outputs)
    # Batch statistics and the states of random layers: trained runs must not see this batch.
    states = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        if tuple(outputs.shape) != expected:
            raise UserError(
                f"model: its outputs for a batch have the shape {tuple(outputs.shape)}; "
                f"data={dataset.name} needs {expected}: {dataset.num_outputs} for each example."
            )
        values = loss(targets, outputs)
        if tuple(values.shape) != (size,):
            raise UserError(
                f"loss: it gave the shape {tuple(values.shape)} for a batch of {size} examples; "
                f"expected one value for each, {(size,)}. The mean is taken by the step."
            )
    variables = model.trainable_variables
    gradients = tape.gradient(values, variables)
    for variable, value in states:
        variable.assign(value)
    if not np.isfinite(values).all():
        raise UserError("loss: it is not finite on the first batch, before any step.")
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if missing:
        raise UserError(f"model: the loss does not depend on {', '.join(missing)}.")
