"""Kinds of training of my own."""

import keras
import tensorflow as tf

from expt.train.input.batch import Batch, mean_loss
from expt.train.learners.supervised import Supervised
from expt.train.objective import Objective, outputs_of
from expt.train.optimizer import MakeOptimizer

EPSILON = 0.05  # in the unit of the inputs


class FastGradientSign(Supervised):
    """Trains on adversarial examples x + ε sign(∇ₓ loss). Source: arXiv:1412.6572."""

    def __init__(
        self, model: keras.Model, objective: Objective, make_optimizer: MakeOptimizer
    ) -> None:
        super().__init__(model, objective, make_optimizer)
        self._loss = objective.loss
        self.step = self.step.with_preparation(self._perturb)

    def _perturb(self, batch: Batch) -> Batch:
        with tf.GradientTape() as tape:
            tape.watch(batch.inputs)
            outputs = outputs_of(self.model, batch.inputs, training=False)
            loss = mean_loss(self._loss(batch.targets, outputs), batch.weights)
        gradient = tape.gradient(loss, batch.inputs)
        return batch._replace(inputs=batch.inputs + EPSILON * tf.sign(gradient))
