"""The program of a job: everything that is built from its config and data set to train it.

Training, the preflight of a sweep, `verify` and timing estimates all build it here, so that they
see the same model, input pipeline and evaluation.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from expt.config.checks import check_monitored_metric
from expt.config.declarations import DIRECTION_KEY, LEARNER_KEY, task_of
from expt.config.instantiate import bind_part
from expt.config.job import Job
from expt.config.outputs import ModelOutputs, model_outputs
from expt.parts.data.dataset import Dataset, Split
from expt.train.backend import as_user_errors
from expt.train.compilation_rule import Compilation, choose_compilation
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


class ValidationDrivenSchedule(Protocol):
    """A learning rate schedule that depends on the validation results, such as plateau decay.

    Attributes:
        variables: The state of the schedule; it is saved in checkpoints.
    """

    variables: Sequence[Any]

    def consider(self, value: float, larger_is_better: bool) -> None:
        """Updates the learning rate after an evaluation.

        Args:
            value: The value of the monitored metric.
            larger_is_better: The direction of the monitored metric.
        """


@dataclass(frozen=True)
class Program:
    """The model, data and functions that train one config; an executor compiles and runs them.

    Attributes:
        job: The job, with its frozen config.
        dataset: The data set of the job.
        task: The learning task, such as `classification`.
        timeline: The steps and epochs, and the steps after which evaluations are due.
        learner: The networks with their training step, loss and optimizers.
        monitor: The metric that selects the best model.
        schedules: The learning rate schedules that depend on validation; usually none.
        compilation: How the step and the evaluations are compiled.
    """

    job: Job
    dataset: Dataset
    task: str
    timeline: Timeline
    learner: Learner
    monitor: Monitor
    schedules: Sequence[ValidationDrivenSchedule]
    compilation: Compilation

    @property
    def outputs(self) -> ModelOutputs:
        """The kind of the model's outputs, and the link that turns them into predictions."""
        return model_outputs(self.job.config.loss, self.task)

    def check(self) -> Sequence[str]:
        """Checks the parts on one batch, forward and backward; all variables keep their values.

        Returns:
            Notes for the user, one sentence each.

        Raises:
            UserError: The parts do not fit each other or the data (a wrong shape, a missing
                gradient, a loss that is not finite), or the model can't be saved.
        """
        with as_user_errors("the first batch can't be trained on", self.job.config):
            batch = first_batch(self.dataset)
            # The `check` of a user's learner may return None when it has no notes.
            notes = self.learner.check(batch, self.dataset) or ()
        check_saveable(self.learner.model, self.job, batch.inputs)
        return notes

    def make_pipeline(self, first_step: int = 0) -> InputPipeline:
        """Returns the input pipeline of training, starting at `first_step`, counted from 0."""
        return make_pipeline(self.timeline, self.dataset, first_step)

    def make_evaluate(self, split: Split) -> Evaluate:
        """Returns the compiled function that evaluates the networks on a split."""
        return self.learner.make_evaluate(split, self.compilation.mode)


def make_program(job: Job, dataset: Dataset, compilation: Compilation | None = None) -> Program:
    """Builds the program of a job, including the variables of its model and optimizers.

    Args:
        job: The job, with its frozen config.
        dataset: The data set of the job.
        compilation: How the program is compiled; None to choose according to the config.

    Raises:
        UserError: A part does not accept its arguments, or does not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    timeline = make_timeline(job, dataset)
    model = make_model(job, dataset)
    schedule = make_schedule(job, timeline.total_steps)
    make_learner = learner_class(job, task)
    learner = make_learner(model, make_objective(job, dataset), make_optimizers(job, schedule))
    check_monitored_metric(job, learner.reported)
    metric = config.loop.watch or learner.watched
    direction = config.loop.direction or config.metric.get(metric.removeprefix("val/"), {}).get(
        DIRECTION_KEY
    )
    driven = [schedule] if hasattr(schedule, "consider") else []
    monitor = Monitor(metric, larger_is_better=direction == "max")
    if compilation is None:
        compilation = choose_compilation(config, dataset, learner, timeline)
    return Program(job, dataset, task, timeline, learner, monitor, driven, compilation)


def learner_class(job: Job, task: str) -> type[Learner]:
    """Returns the learner class that the model declares, or the default one of the task."""
    declared = job.config.model.get(LEARNER_KEY)
    if declared is not None:
        return cast("type[Learner]", bind_part({"_target_": declared}, f"model.{LEARNER_KEY}").func)
    return Reconstruction if task == "reconstruction" else Supervised
