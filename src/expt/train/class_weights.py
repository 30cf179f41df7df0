"""The class weights of a loss that a config leaves to the data."""

from expt.config.compose import Job
from expt.config.declarations import task_of
from expt.errors import UserError
from expt.parts.data.class_balance import balanced_weights
from expt.parts.data.dataset import Dataset

CLASS_WEIGHTS, BALANCED = "class_weights", "balanced"
_OWN_LOSSES = "expt.parts.losses."


def class_weights(job: Job, dataset: Dataset) -> list[float] | None:
    """Returns the class weights of a loss that asks for balanced ones; None for any other.

    They are those of the train split, whichever split the loss is computed on.

    Raises:
        UserError: The loss asks for something else, or a class is missing.
    """
    loss = job.config.loss
    given = loss.get(CLASS_WEIGHTS)
    is_balanced = given == BALANCED and task_of(job, dataset.task) == "classification"
    if isinstance(given, str) and not is_balanced and loss["_target_"].startswith(_OWN_LOSSES):
        raise UserError(
            f"loss.{CLASS_WEIGHTS}={given}: expected {BALANCED}, a list of "
            f"{len(dataset.class_names)} positive numbers, one for each class, or null."
        )
    return balanced_weights(dataset) if is_balanced else None
