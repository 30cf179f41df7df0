"""The interface of a learner, which defines a kind of training for the training loop."""

from collections.abc import Sequence
from typing import Any, Protocol

import keras

from expt.parts.data.dataset import Dataset, Split
from expt.train.evaluation import Evaluate
from expt.train.input.batch import Batch
from expt.train.objective import Objective
from expt.train.optimizer import MakeOptimizer
from expt.train.step import Step


class Learner(Protocol):
    """A kind of training: networks, their training step, and their evaluation.

    To add a kind of training, write a class with these members and name it in the `_step_` of a
    model's yaml.

    Args:
        model: The return value of the config's model part: a model, or several in one object.
        objective: The loss and the metrics.
        make_optimizer: Makes an optimizer for a list of variables.

    Attributes:
        model: The model that predicts, and is saved as the result of the run.
        networks: All models that are trained, including `model`.
        optimizers: One optimizer per network, in the same order.
        watched: The full name of the metric that selects the best model, unless the config names
            another.
        reported: The names of the values that evaluations return, such as `loss`, without the name
            of the split.
        step: The training step, consisting of the functions gradients, update and metrics.
        random_states: The variables of the learner's own random number generators. Those of the
            networks' layers are found in the networks.
    """

    model: keras.Model
    networks: Sequence[keras.Model]
    optimizers: Sequence[keras.optimizers.Optimizer]
    watched: str
    reported: Sequence[str]
    step: Step
    random_states: Sequence[Any]

    def __init__(self, model: Any, objective: Objective, make_optimizer: MakeOptimizer) -> None: ...

    def check(self, batch: Batch, dataset: Dataset) -> Sequence[str]:
        """Checks the parts on one batch, forward and backward; all variables keep their values.

        Args:
            batch: The first examples of the train split.
            dataset: The data set, for messages and shapes.

        Returns:
            Notes for the user, one sentence each.

        Raises:
            UserError: The parts do not fit each other or the data.
        """
        ...

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that evaluates the networks on a split, with their current weights.

        Args:
            split: The split to evaluate on.
            mode: `graph`, `xla` or `eager`.
        """
        ...

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that evaluates the saved model of a run on a split."""
        ...
