import pytest

from expt.config.compose import compose_jobs
from expt.config.declarations import (
    TASKS_KEY,
    batches_per_step,
    metrics_for,
    supports_task,
    task_of,
)

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
