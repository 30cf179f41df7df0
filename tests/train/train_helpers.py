"""Helpers of the training tests: small data sets, streams, and a learner in training."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.parts.data.dataset import Dataset, Split
from expt.parts.losses import crossentropy
from expt.parts.metrics import accuracy
from expt.parts.models.dense import mlp
from expt.train.executors.block import RunBlock, make_run_block
from expt.train.input.batch import Batch
from expt.train.input.pipeline import make_pipeline
from expt.train.learners.supervised import Supervised
from expt.train.objective import Objective
from expt.train.timeline import Timeline

Array = NDArray[np.float32]
CAPACITY, TOTAL_STEPS = 16, 32
CLASSIFY = Objective(crossentropy, {"accuracy": accuracy}, tf.identity)


@dataclass(frozen=True, eq=False)
class ArrayStream:
    """A stream of the rows of an array; a slow one takes longer for batches with an odd start."""

    array: Array
    is_slow: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> Array:
        if self.is_slow and indices[0] % 2:
            np.linalg.svd(np.random.default_rng(0).standard_normal((90, 90)))
        rows: Array = self.array[indices]
        return rows

    def take(self, indices: NDArray[np.integer[Any]]) -> "ArrayStream":
        return replace(self, array=self.array[indices])


def make_dataset(
    shape: Sequence[int] = (4,), size: int = 50, batch_size: int = 8, **changes: Any
) -> Dataset:
    """Returns a data set of three classes with three equal splits."""
    random = np.random.default_rng(0)
    inputs = random.uniform(size=(size, *shape)).astype(np.float32)
    split = Split(inputs, random.integers(0, 3, size).astype(np.int32))
    dataset = Dataset("toy", "classification", split, split, split, batch_size, ("a", "b", "c"))
    return replace(dataset, **changes)


def weighted(dataset: Dataset) -> Dataset:
    """Returns the data set with weights in all splits, some of them 0."""
    weights = np.random.default_rng(1).uniform(size=len(dataset.train)).astype(np.float32)
    weights[::3] = 0
    split = replace(dataset.train, weights=weights)
    return replace(dataset, train=split, validation=split, test=split)


def streamed(dataset: Dataset, is_slow: bool = False) -> Dataset:
    """Returns the data set with streamed inputs."""
    inputs = dataset.train.inputs
    assert isinstance(inputs, np.ndarray)
    split = replace(dataset.train, inputs=ArrayStream(inputs, is_slow))
    return replace(dataset, train=split, validation=split, test=split)


def make_timeline(dataset: Dataset, total_steps: int = TOTAL_STEPS, seed: int = 3) -> Timeline:
    return Timeline(
        seed=seed,
        total_steps=total_steps,
        steps_per_epoch=dataset.steps_per_epoch,
        num_examples=len(dataset.train),
        batch_size=dataset.batch_size,
        eval_every=Cadence.parse(None),
    )


def small_mlp(dataset: Dataset, **options: Any) -> Any:
    act = partial(keras.layers.Activation, "tanh")
    return mlp(dataset.input_shape, dataset.num_outputs, act, units=(16,), **options)


def built(make: Callable[[], Any]) -> Callable[[Sequence[Any]], Any]:
    """Returns a `MakeOptimizer` that builds the optimizers of a factory."""

    def make_optimizer(variables: Sequence[Any]) -> Any:
        optimizer = make()
        optimizer.build(variables)
        return optimizer

    return make_optimizer


class Training:
    """A learner in training on a data set; counts how often Python runs its step."""

    def __init__(
        self,
        dataset: Dataset,
        mode: str = "graph",
        *,
        make_model: Callable[[Dataset], Any] = small_mlp,
        learner: Any = Supervised,
        objective: Objective = CLASSIFY,
        optimizer: Callable[[], Any] = lambda: keras.optimizers.Adam(0.01),
        first_step: int = 0,
    ) -> None:
        keras.utils.set_random_seed(1)
        self.timeline, self.step, self.executions = make_timeline(dataset), first_step, 0
        self.learner = learner(make_model(dataset), objective, built(optimizer))
        pipeline = make_pipeline(self.timeline, dataset, first_step)
        self.run: RunBlock = make_run_block(
            self._counted, pipeline, dataset.batch_size, CAPACITY, mode
        )

    def _counted(self, batch: Batch) -> dict[str, tf.Tensor]:
        self.executions += 1
        scalars: dict[str, tf.Tensor] = self.learner.step(batch)
        return scalars

    def run_blocks(self, lengths: Sequence[int]) -> dict[str, Array]:
        """Trains further blocks; returns the scalars of all of their steps."""
        blocks = []
        for length in lengths:
            blocks.append(self.run(self.step, self.timeline.indices(self.step, length)).scalars)
            self.step += length
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    def variables(self) -> list[Any]:
        """Returns the weights, the random states and the variables of the optimizers."""
        found = [v for network in self.learner.networks for v in network.variables]
        return found + [v for optimizer in self.learner.optimizers for v in optimizer.variables]

    def state(self) -> list[NDArray[Any]]:
        return [variable.numpy() for variable in self.variables()]


def assert_same_bits(one: Training, other: Training) -> None:
    for a, b in zip(one.state(), other.state(), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_rows(one: dict[str, Array], other: dict[str, Array]) -> None:
    assert list(one) == list(other)
    for name, column in one.items():
        np.testing.assert_array_equal(column, other[name])
