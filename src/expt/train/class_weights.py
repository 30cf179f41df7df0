"""Class weights computed from the data, for `class_weights=balanced`."""

from expt.config.declarations import task_of
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.class_balance import balanced_weights
from expt.parts.data.dataset import Dataset

CLASS_WEIGHTS, BALANCED = "class_weights", "balanced"
_OWN_LOSSES = "expt.parts.losses."


def class_weights(job: Job, dataset: Dataset) -> list[float] | None:
    """Returns the balanced class weights of the train split, one per class.

    Returns:
        None if the loss of the job does not have `class_weights=balanced`.

    Raises:
        UserError: `class_weights` is a text other than `balanced`, or a class has no examples.
    """
    loss = job.config.loss
    given = loss.get(CLASS_WEIGHTS)
    # A custom loss may accept other texts.
    is_balanced = given == BALANCED and task_of(job, dataset.task) == "classification"
    if isinstance(given, str) and not is_balanced and loss["_target_"].startswith(_OWN_LOSSES):
        raise UserError(
            f"loss.{CLASS_WEIGHTS}={given}: expected {BALANCED}, a list of "
            f"{len(dataset.class_names)} positive numbers, one for each class, or null."
        )
    return balanced_weights(dataset) if is_balanced else None
