"""Evaluation and prediction with a saved model.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.declarations import task_of
from expt.config.job import Job
from expt.parts.data.dataset import Dataset, Split
from expt.train.evaluation import Evaluate
from expt.train.objective import make_objective, outputs_of
from expt.train.program import learner_class


def make_saved_evaluate(job: Job, dataset: Dataset, model: keras.Model, split: Split) -> Evaluate:
    """Returns the function that evaluates a saved model on a split in the same way as training.

    Args:
        job: The job that trained the model.
        dataset: A data set, with the scales of the model's training.
        model: The saved model, without its link.
        split: The split to evaluate on.
    """
    learner = learner_class(job, task_of(job, dataset.task))
    return learner.evaluate_saved(model, make_objective(job, dataset), split)


def make_predict(
    model: keras.Model,
) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
    """Returns the function that predicts one batch with a saved model.

    It maps inputs, shape [batch, ...], to outputs, float32 or float64 of shape [batch, ...].
    """
    # Without `reduce_retracing`, the smaller last batch would be traced again.
    run = tf.function(
        lambda inputs: outputs_of(model, inputs, training=False),
        reduce_retracing=True,
        autograph=False,
    )
    return lambda inputs: np.asarray(run(tf.constant(inputs)))
