"""What a kind of training must offer for the one loop to run it."""

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
    """A kind of training. Another one is another such class; the loop does not change.

    It is made of what the config's model part made, of the objective, and of a function that
    makes optimizers.

    Attributes:
        model: What is saved as the run's result, and predicts.
        networks: All models that are trained, `model` among them.
        optimizers: One for each of the networks, in their order.
        watched: The metric that chooses the best model, unless the config names another.
        reported: What evaluations give, such as `loss`; without the split.
        step: The training step.
        random_states: Variables of its own random numbers, besides those of the networks' layers.
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
        """Runs a batch forwards and backwards, and changes nothing.

        Returns:
            What a user should know, a sentence each.

        Raises:
            UserError: The parts don't fit each other or the data.
        """
        ...

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that evaluates the networks, as they stand, on a split.

        Args:
            split: What to evaluate on.
            mode: `graph`, `xla` or `eager`.
        """
        ...

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that evaluates a run's saved model on a split."""
        ...
