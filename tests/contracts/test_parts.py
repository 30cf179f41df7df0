"""Every option of the groups of parts, found by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.contract import SMALL, keep_contract, options_of
from contracts.example_data import one_hot_values
from expt.config.location import config_directory

Train = Callable[..., Any]


def tasks_of(group: str) -> list[tuple[str, str]]:
    """Every option of a group with each task that it declares."""
    pairs = []
    for option in options_of(group):
        node = yaml.safe_load((config_directory() / group / f"{option}.yaml").read_text())
        pairs += [(option, task) for task in node["_tasks_"]]
    return pairs


def for_task(task: str, folder: Path) -> list[str]:
    """A small job of a task, with a loss that suits it."""
    if task == "regression":
        return [*one_hot_values(folder), "loss=mse", *SMALL]
    if task == "reconstruction":
        return ["model=autoencoder", "loss=mse"]
    if task == "generation":
        return ["model=gan", "loss=binary_crossentropy"]
    return [*SMALL]


def default_loss(task: str) -> str:
    return "crossentropy" if task == "classification" else "mse"


def combinations() -> list[tuple[str, ...]]:
    """Every loss with each of its tasks, beside them every other part: all of each, none alone."""
    others = [options_of(group) for group in ("act", "optimizer", "schedule")]
    losses = sorted(tasks_of("loss"), key=lambda pair: pair[1] == "generation")
    assert sum(task != "generation" for _, task in losses) >= max(map(len, others))
    return [
        (*pair, *(options[number % len(options)] for options in others))
        for number, pair in enumerate(losses)
    ]


@pytest.mark.parametrize(("loss", "task", "act", "optimizer", "schedule"), combinations())
def test_parts(
    train_here: Train, tmp_path: Path, loss: str, task: str, act: str, optimizer: str, schedule: str
) -> None:
    """Metrics are beside the loss that is usual for their task."""
    given = [*for_task(task, tmp_path), f"loss={loss}"]
    if task != "generation":
        parts = [f"act={act}", f"optimizer={optimizer}", f"schedule={schedule}"]
        metrics = [option for option, of in tasks_of("metric") if of == task]
        chosen = ",".join(metrics if loss == default_loss(task) else metrics[:1])
        given += [*parts, "loop.eval_every=1", f"metric=[{chosen}]"]
    keep_contract(train_here, given, tmp_path)
