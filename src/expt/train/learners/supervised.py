"""Supervised learning and reconstruction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from expt.parts.data.dataset import Dataset, Split
from expt.train.evaluation import Evaluate, make_evaluate
from expt.train.input.batch import Batch
from expt.train.objective import Objective
from expt.train.optimizer import MakeOptimizer
from expt.train.preflight import preflight
from expt.train.step import make_train_step
from expt.train.terms import supervised_terms


class Supervised:
    """A `Learner` that trains one model to predict targets from inputs."""

    watched: str = "val/loss"
    random_states: Sequence[Any] = ()

    def __init__(
        self, model: keras.Model, objective: Objective, make_optimizer: MakeOptimizer
    ) -> None:
        self.model, self._objective = model, objective
        self.networks: Sequence[keras.Model] = [model]
        optimizer = make_optimizer(model.trainable_variables)
        self.optimizers: Sequence[keras.optimizers.Optimizer] = [optimizer]
        self.reported: Sequence[str] = ["loss", *objective.metrics]
        step = make_train_step(
            model, objective.loss, optimizer, objective.metrics, objective.num_parts
        )
        self.step = replace(step, terms=supervised_terms(model, objective.loss, optimizer))

    def check(self, batch: Batch, dataset: Dataset) -> Sequence[str]:
        """Checks the model's outputs, its loss and its gradients on a batch."""
        expected = (len(batch.inputs), dataset.num_outputs)
        return preflight(self.model, self._objective, batch, expected, dataset.name)

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that evaluates the model on a split."""
        return make_evaluate(self.model, self._objective, split, mode)

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that evaluates a saved model on a split."""
        return make_evaluate(model, objective, split, "graph")


class Reconstruction(Supervised):
    """A `Learner` that trains one model to reconstruct its inputs, after their augmentation."""

    def __init__(
        self, model: keras.Model, objective: Objective, make_optimizer: MakeOptimizer
    ) -> None:
        super().__init__(model, objective, make_optimizer)
        self.step = self.step.with_preparation(_with_inputs_as_targets)

    def check(self, batch: Batch, dataset: Dataset) -> Sequence[str]:
        """Checks the model's outputs, its loss and its gradients on a batch."""
        batch = _with_inputs_as_targets(batch)
        expected = tuple(batch.inputs.shape)
        return preflight(self.model, self._objective, batch, expected, dataset.name)

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that evaluates the model on a split."""
        return make_evaluate(self.model, self._objective, split, mode, reconstructs=True)

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that evaluates a saved model on a split."""
        return make_evaluate(model, objective, split, "graph", reconstructs=True)


def _with_inputs_as_targets(batch: Batch) -> Batch:
    # Inputs that mixup has mixed are targets as they are; there are no second targets.
    return batch._replace(targets=batch.inputs, mixed_targets=None, mixed_share=None)
