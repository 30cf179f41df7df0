"""What a run's saved model gives: how a loss declares that raw outputs become predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expt.config.groups import option_values
from expt.errors import UserError

PREDICTS_KEY = "_predicts_"
"""The link: what turns outputs trained by a loss into predictions; or one for each task.

Without it, it is softmax for classification, and there is none for other tasks.
"""
PROBABILITIES_KEY = "_probabilities_"
"""Whether what a loss predicts for classes are probabilities, or the options for which they are.

They are where the loss is least, on average, at the true probabilities. Without it, they are called
scores.
"""
LINKS = ("softmax", "sigmoid", "softplus")
_TASKS = ("classification", "regression", "reconstruction", "generation")
_OWN_LOSSES = "expt.parts.losses."


@dataclass(frozen=True)
class ModelOutputs:
    """What a saved model gives.

    Attributes:
        kind: `probability` and `score` of each class, or `value`.
        link: The last layer's function: `softmax`, `sigmoid`, `softplus`, or None.
    """

    kind: str
    link: str | None


def model_outputs(loss: Mapping[str, Any], task: str) -> ModelOutputs:
    """Returns what a model gives that was trained by a loss.

    Args:
        loss: The loss's config.
        task: What is learned.

    Raises:
        UserError: The loss declares what can't be.
    """
    if task == "generation":  # the loss judges the discriminator's outputs
        return ModelOutputs("value", None)
    declared = _declared(loss, PREDICTS_KEY, {"classification": "softmax"})
    if not is_links(declared):
        raise UserError(f"loss.{PREDICTS_KEY}={declared}: expected {EXPECTED_LINKS}.")
    link = declared.get(task) if isinstance(declared, Mapping) else declared
    if task != "classification":
        return ModelOutputs("value", link)
    is_probability = link in ("softmax", "sigmoid") and _gives_probabilities(loss)
    return ModelOutputs("probability" if is_probability else "score", link)


EXPECTED_LINKS = f"one of {', '.join(LINKS)}, null, or one of these for each task"


def is_links(value: object) -> bool:
    """Whether a value is one that a loss may declare as its link."""
    links = list(value.values()) if isinstance(value, Mapping) else [value]
    tasks = list(value) if isinstance(value, Mapping) else []
    return all(link is None or link in LINKS for link in links) and all(t in _TASKS for t in tasks)


def is_probabilities(value: object) -> bool:
    """Whether a value is one that a loss may declare for `PROBABILITIES_KEY`."""
    return isinstance(value, bool | Mapping)


def _gives_probabilities(loss: Mapping[str, Any]) -> bool:
    declared = _declared(loss, PROBABILITIES_KEY, default=False)
    if isinstance(declared, Mapping):
        return all(loss.get(option, value) == value for option, value in declared.items())
    return bool(declared)


def _declared(loss: Mapping[str, Any], key: str, default: Any) -> Any:
    """What a loss declares; configs that lack it, as older runs' do, have that of the function."""
    target = str(loss.get("_target_"))
    if key in loss or not target.startswith(_OWN_LOSSES):
        return loss.get(key, default)
    return option_values("loss", target.removeprefix(_OWN_LOSSES)).get(key, default)
