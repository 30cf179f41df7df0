"""The predictions of saved models, and the link from raw outputs to them that a loss declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expt.config.groups import option_values
from expt.errors import UserError

PREDICTS_KEY = "_predicts_"
"""Declaration of a loss: the link from raw outputs to predictions, or one link per task.

Absent means softmax for classification, and no link for other tasks.
"""
PROBABILITIES_KEY = "_probabilities_"
"""Declaration of a loss: whether predictions of classes are probabilities.

The value is a boolean, or arguments of the loss with the values for which they are. Predictions are
probabilities if the true probabilities minimize the expected loss; otherwise, and if the
declaration is absent, they are called scores.
"""
LINKS = ("softmax", "sigmoid", "softplus")
TASKS = ("classification", "regression", "reconstruction", "generation")
_OWN_LOSSES = "expt.parts.losses."


@dataclass(frozen=True)
class ModelOutputs:
    """The kind of a saved model's predictions.

    Attributes:
        kind: `probability` or `score`, for one of each class, or `value`.
        link: The function of the last layer: `softmax`, `sigmoid`, `softplus`, or None.
    """

    kind: str
    link: str | None


def model_outputs(loss: Mapping[str, Any], task: str) -> ModelOutputs:
    """Returns the kind of predictions of a model that was trained with a loss.

    Args:
        loss: The node of the loss.
        task: The task, such as `classification`.

    Raises:
        UserError: The loss declares an unknown link.
    """
    if task == "generation":  # the loss is of the discriminator, the saved model the generator
        return ModelOutputs("value", None)
    declared = _get_declaration(loss, PREDICTS_KEY, {"classification": "softmax"})
    if not is_links(declared):
        raise UserError(f"loss.{PREDICTS_KEY}={declared}: expected {EXPECTED_LINKS}.")
    link = declared.get(task) if isinstance(declared, Mapping) else declared
    if task != "classification":
        return ModelOutputs("value", link)
    # Neither softplus nor a missing link bounds the outputs to [0, 1].
    is_probability = link in ("softmax", "sigmoid") and _has_probabilities(loss)
    return ModelOutputs("probability" if is_probability else "score", link)


EXPECTED_LINKS = f"one of {', '.join(LINKS)}, null, or a mapping of tasks to these"
"""Description of the valid values of `PREDICTS_KEY`."""


def is_links(value: object) -> bool:
    """Whether a value is valid for `PREDICTS_KEY`."""
    links = list(value.values()) if isinstance(value, Mapping) else [value]
    tasks = list(value) if isinstance(value, Mapping) else []
    return all(link is None or link in LINKS for link in links) and all(t in TASKS for t in tasks)


def is_probabilities(value: object) -> bool:
    """Whether a value is valid for `PROBABILITIES_KEY`."""
    return isinstance(value, bool | Mapping)


def _has_probabilities(loss: Mapping[str, Any]) -> bool:
    declared = _get_declaration(loss, PROBABILITIES_KEY, default=False)
    # An argument that the node lacks is taken to have its declared value.
    if isinstance(declared, Mapping):
        return all(loss.get(option, value) == value for option, value in declared.items())
    return bool(declared)


def _get_declaration(loss: Mapping[str, Any], key: str, default: Any) -> Any:
    """Returns a declaration of a loss.

    Configs of runs that are older than the declaration lack it; for a loss of expt, it is then read
    from the current yaml.
    """
    target = str(loss.get("_target_"))
    if key in loss or not target.startswith(_OWN_LOSSES):
        return loss.get(key, default)
    return option_values("loss", target.removeprefix(_OWN_LOSSES)).get(key, default)
