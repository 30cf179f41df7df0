"""The program of a job: all that is built from its config and its data, before it is compiled.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from expt.config.checks import check_watched
from expt.config.compose import Job
from expt.config.declarations import DIRECTION_KEY, STEP_KEY, task_of
from expt.config.instantiate import part
from expt.config.outputs import ModelOutputs, model_outputs
from expt.parts.data.dataset import Dataset, Split
from expt.train.backend import as_user_errors
from expt.train.evaluation import Evaluate
from expt.train.input.pipeline import InputPipeline, first_batch, make_pipeline
from expt.train.learners.learner import Learner
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.model import make_model
from expt.train.monitor import Monitor
from expt.train.objective import make_objective
from expt.train.optimizer import make_optimizers, make_schedule
from expt.train.saveable import check_saveable
from expt.train.timeline import Timeline, make_timeline


class DrivenByValidation(Protocol):
    """A learning rate schedule that depends on how validation goes.

    Attributes:
        variables: Its state, for checkpoints.
    """

    variables: Sequence[Any]

    def consider(self, value: float, larger_is_better: bool) -> None:
        """Updates the learning rate after an evaluation, from the monitored metric."""


@dataclass(frozen=True)
class Program:
    """All that trains for one config and one data set; executors compile and run it.

    Attributes:
        job: The frozen config.
        dataset: Its data.
        task: The learning task.
        timeline: The steps, and when evaluations and checkpoints are due.
        learner: The networks with their step, loss and optimizers.
        monitor: The metric that chooses the best model.
        schedules: The learning rate schedules that validation drives; often none.
    """

    job: Job
    dataset: Dataset
    task: str
    timeline: Timeline
    learner: Learner
    monitor: Monitor
    schedules: Sequence[DrivenByValidation]

    @property
    def outputs(self) -> ModelOutputs:
        """What the model's outputs are."""
        return model_outputs(self.job.config.loss, self.task)

    def check(self) -> Sequence[str]:
        """Takes one batch through the model, forwards and backwards; changes nothing.

        Returns:
            What a user should know, a sentence each.

        Raises:
            UserError: The parts don't fit each other or the data, such as a shape, a missing
                gradient or a loss that is not finite; or the model can't be saved.
        """
        with as_user_errors("the first batch can't be trained on"):
            batch = first_batch(self.dataset)
            notes = self.learner.check(batch, self.dataset) or ()
        check_saveable(self.learner.model, self.job, batch.inputs)
        return notes

    def make_pipeline(self, first_step: int = 0) -> InputPipeline:
        """Makes the input pipeline of training, from a step counted from 0."""
        return make_pipeline(self.timeline, self.dataset, first_step)

    def make_evaluate(self, split: Split) -> Evaluate:
        """Returns the compiled function that evaluates the networks on a split."""
        return self.learner.make_evaluate(split, self.job.config.loop.compile)


def make_program(job: Job, dataset: Dataset) -> Program:
    """Builds the program of a job, the optimizers' variables included.

    Raises:
        UserError: A part refuses its arguments, or does not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    timeline = make_timeline(job, dataset)
    model = make_model(job, dataset)
    schedule = make_schedule(job, timeline.total_steps)
    make_learner = learner_class(job, task)
    learner = make_learner(model, make_objective(job, dataset), make_optimizers(job, schedule))
    check_watched(job, learner.reported)
    metric = config.loop.watch or learner.watched
    direction = config.loop.direction or config.metric.get(metric.removeprefix("val/"), {}).get(
        DIRECTION_KEY
    )
    driven = [schedule] if hasattr(schedule, "consider") else []
    monitor = Monitor(metric, larger_is_better=direction == "max")
    return Program(job, dataset, task, timeline, learner, monitor, driven)


def learner_class(job: Job, task: str) -> type[Learner]:
    """Returns the kind of training: the one that the model declares, or that of the task."""
    declared = job.config.model.get(STEP_KEY)
    if declared is not None:
        return cast("type[Learner]", part({"_target_": declared}, f"model.{STEP_KEY}").func)
    return Reconstruction if task == "reconstruction" else Supervised
