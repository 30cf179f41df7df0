"""Builds the model that a config names, for a data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from expt.config.declarations import INITIALIZER_KEY, LEARNER_KEY, task_of
from expt.config.instantiate import bind_part, call_part
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.models.standardization import with_standardization
from expt.train.model_checks import build_model, check_model
from expt.train.objective import output_scale


def make_model(job: Job, dataset: Dataset) -> Any:
    """Returns the model that a config names, between layers that standardize inputs and outputs.

    A model part with a `_step_`, such as a pair of models, may return another object, which is
    returned as it is.

    Raises:
        UserError: The model does not accept its arguments, or does not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    made = call_part(
        bind_part(config.model, "model"),
        "model",
        input_shape=dataset.input_shape,
        num_outputs=dataset.num_outputs,
        act=_Activation(bind_part(config.act, "act"), config.act.get(INITIALIZER_KEY)),
    )
    if not isinstance(made, keras.Model):
        # The learner that `_step_` names knows what to do with it.
        if LEARNER_KEY in config.model:
            return made
        raise UserError(
            f"model: {config.model['_target_']} returned {type(made).__name__}; expected a "
            "keras.Model."
        )
    model = build_model(made, dataset.input_shape)
    reconstructs = task == "reconstruction"
    check_model(model, dataset, dataset.input_shape if reconstructs else (dataset.num_outputs,))
    return with_standardization(model, dataset.input_scale, output_scale(job, dataset, task))


@dataclass(frozen=True)
class _Activation:
    """The argument `act` of model parts: a factory of activation layers.

    Attributes:
        make: Makes one layer.
        declared: The initial weights that suit the activation, as its config declares them.
    """

    make: Callable[[], Any]
    declared: str | Mapping[str, Any] | None

    def __call__(self) -> Any:
        return call_part(self.make, "act")

    @property
    def initializer(self) -> Any:
        """The initializer of weights that suits the activation: a name, or a new object."""
        if not isinstance(self.declared, Mapping):
            return self.declared
        # A new one each time, since one initializer returns equal weights for equal shapes.
        where = f"act.{INITIALIZER_KEY}"
        return call_part(bind_part(self.declared, where), where)
