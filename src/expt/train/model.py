"""The model that a config names, made for a data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from expt.config.compose import Job
from expt.config.declarations import INITIALIZER_KEY, STEP_KEY, task_of
from expt.config.instantiate import call, part
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.models.standardization import standardized
from expt.train.model_ends import built, check_ends
from expt.train.objective import output_scale


def make_model(job: Job, dataset: Dataset) -> Any:
    """Makes what the model part makes, between the layers that standardise for it.

    Raises:
        UserError: The model refuses its arguments, or does not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    made = call(
        part(config.model, "model"),
        "model",
        input_shape=dataset.input_shape,
        num_outputs=dataset.num_outputs,
        act=_Activation(part(config.act, "act"), config.act.get(INITIALIZER_KEY)),
    )
    if not isinstance(made, keras.Model):
        if STEP_KEY in config.model:  # such as a pair of models
            return made
        raise UserError(
            f"model: {config.model['_target_']} returned {type(made).__name__}; expected a "
            "keras.Model."
        )
    model = built(made, dataset.input_shape)
    reconstructs = task == "reconstruction"
    check_ends(model, dataset, dataset.input_shape if reconstructs else (dataset.num_outputs,))
    return standardized(model, dataset.input_scale, output_scale(job, dataset, task))


@dataclass(frozen=True)
class _Activation:
    """What models get as `act`: makes a layer a call, and knows which initial weights suit it."""

    make: Callable[[], Any]
    declared: str | Mapping[str, Any] | None

    def __call__(self) -> Any:
        return call(self.make, "act")

    @property
    def initializer(self) -> Any:
        """A name, or a new object each time: one gives layers of equal shapes equal weights."""
        if not isinstance(self.declared, Mapping):
            return self.declared
        where = f"act.{INITIALIZER_KEY}"
        return call(part(self.declared, where), where)
