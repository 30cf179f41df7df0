"""The interface of probes, and what they are given to look at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset

Pixels = NDArray[np.uint8]
"""The pixels of an image: uint8, shape [height, width, 3]."""
LossTerm = tuple[tf.Tensor, Sequence[tf.Tensor | None]]
"""A term of a loss: its value, a scalar, and its gradient for each weight, None for those it does
not depend on."""


class Examples(Protocol):
    """A batch of training examples.

    Attributes:
        inputs: Shape [batch, ...].
        targets: Labels, int of shape [batch], or values, float of shape [batch, values].
    """

    @property
    def inputs(self) -> tf.Tensor:
        """The inputs."""
        ...

    @property
    def targets(self) -> tf.Tensor:
        """The targets."""
        ...


class Subject(Protocol):
    """The networks that a probe looks at, and their losses on fixed batches.

    The batches are the first ones of the train split, without augmentation. Nothing that a subject
    returns changes a variable of the networks, so that a probe has no influence on training.

    Attributes:
        model: The model that predicts.
        networks: All models that are trained, including `model`.
        dataset: The data set of the run.
        weights: The trainable variables of all networks.
        initial: The values of `weights` before training, also in a resumed run.
        layers: The positions in `weights` of the variables of each layer, by the layer's name, in
            the order of the forward pass.
        batches: The fixed batches, at least one, each of the size of a training step.
        inputs: Inputs for `model`, shape [examples, ...]: those of the batches, or fixed noise for
            a generator.
        num_losses: The number of losses; 2 for an adversarial pair, else 1.
    """

    model: keras.Model
    networks: Sequence[keras.Model]
    dataset: Dataset
    weights: Sequence[keras.Variable]
    initial: Sequence[NDArray[Any]]
    layers: Mapping[str, Sequence[int]]
    batches: Sequence[Examples]
    inputs: tf.Tensor
    num_losses: int

    def gradients(
        self, values: Sequence[tf.Tensor], batch: Examples
    ) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Returns the training losses of a batch and their gradients.

        A pure, differentiable function: an outer GradientTape that watches `values` computes second
        derivatives. Random layers, such as dropout, draw the same numbers at each call of a step.

        Args:
            values: The values of `weights`.
            batch: One of `batches`, or other examples of the same shapes.

        Returns:
            The mean losses, scalars, with the penalties of the model; and the gradients, one for
            each of `weights` and in its shape.
        """
        ...

    def terms(self, values: Sequence[tf.Tensor], batch: Examples) -> Mapping[str, LossTerm]:
        """Returns the terms of the training losses of a batch, such as `data`, by name.

        The batch is computed as a whole, even if a training step accumulates gradients.

        Args:
            values: The values of `weights`.
            batch: One of `batches`, or other examples of the same shapes.
        """
        ...

    def values(self) -> list[tf.Tensor]:
        """Returns the current values of `weights`."""
        ...

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function as a TensorFlow graph; unchanged if the run trains eagerly.

        Variables that the function reads have their current values at each call.
        """
        ...


class ProbeMoment(Protocol):
    """The state of training after a step, as probes see it.

    Attributes:
        step: The number of finished steps.
    """

    step: int

    @property
    def epoch(self) -> int:
        """The epoch of the step, counted from 1; 0 before the first step."""
        ...

    @property
    def is_last(self) -> bool:
        """Whether training ends at this step."""
        ...

    @property
    def values(self) -> Mapping[str, float]:
        """The latest value of every metric, by full name such as `train/loss`."""
        ...

    def log(self, values: Mapping[str, float]) -> None:
        """Records scalars at this step, by quantity and layer such as `gradient_norm/dense`."""

    def log_histogram(self, name: str, values: NDArray[np.floating[Any]]) -> None:
        """Records the distribution of values at this step."""

    def log_image(self, name: str, pixels: Pixels) -> None:
        """Records an image at this step."""


class Probe(Protocol):
    """Looks inside the networks at its cadence, and records what it sees.

    A probe may have a method `before` with the same arguments. It is called one step before the
    probe is due, so that the probe can compare two successive steps.
    """

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records what the probe sees.

        Args:
            moment: The state of training after the step.
            subject: The networks and the fixed batches.
        """
