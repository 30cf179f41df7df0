import pytest

from expt.config.compose import compose_jobs
from expt.config.declarations import (
    TASKS_KEY,
    batches_per_step,
    metrics_for,
    part_nodes,
    supports_task,
    task_of,
)
from expt.errors import UserError

DEFAULT = compose_jobs([], None, multirun=False)[0][0]


def test_part_supports_declared_tasks_or_all() -> None:
    assert supports_task({}, "regression")
    assert supports_task({TASKS_KEY: ["classification", "regression"]}, "regression")
    assert not supports_task({TASKS_KEY: ["classification"]}, "regression")
    assert not supports_task({TASKS_KEY: []}, "regression")


@pytest.mark.parametrize(
    ("model", "task"),
    [("mlp", "regression"), ("autoencoder", "reconstruction"), ("gan", "generation")],
)
def test_task_of_model_overrides_task_of_data(model: str, task: str) -> None:
    (job,), _ = compose_jobs([f"model={model}"], None, multirun=False)
    assert task_of(job, "regression") == task


def test_metrics_support_task() -> None:
    assert list(metrics_for(DEFAULT, "classification")) == ["accuracy"]
    assert list(metrics_for(DEFAULT, "reconstruction")) == ["mae", "rmse"]
    assert list(metrics_for(DEFAULT, "generation")) == []


@pytest.mark.parametrize(("given", "expected"), [("null", 1), ("4", 4)])
def test_batches_per_step(given: str, expected: int) -> None:
    overrides = [f"optimizer.gradient_accumulation_steps={given}"]
    (job,), _ = compose_jobs(overrides, None, multirun=False)
    assert batches_per_step(job.config) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "metric.accuracy._direction_=maximum",
            "metric.accuracy._direction_=maximum: expected max or min. Did you mean 'max'?",
        ),
        (
            "+metric.accuracy._diretion_=max",
            "metric.accuracy._diretion_=max: metric has no such declaration. Did you mean "
            "'_direction_'? Valid: _direction_, _takes_, _tasks_.",
        ),
        (
            "loss._tasks_=[regression,clasification]",
            "loss._tasks_=[regression,clasification]: expected a list of classification, "
            "regression, reconstruction, generation. Did you mean 'classification'?",
        ),
        (
            "+data._tasks_=[classification]",
            "data._tasks_=[classification]: data has no such declaration. Valid: none.",
        ),
    ],
)
def test_unknown_declarations_and_values_are_refused(given: str, message: str) -> None:
    (job,), _ = compose_jobs([given], None, multirun=False)
    with pytest.raises(UserError) as error:
        part_nodes(job.config)
    assert str(error.value) == message
