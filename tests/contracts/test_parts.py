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


@pytest.mark.parametrize("option", options_of("act"))
def test_act(train_here: Train, tmp_path: Path, option: str) -> None:
    keep_contract(train_here, [f"act={option}", *SMALL], tmp_path)


@pytest.mark.parametrize(("option", "task"), tasks_of("loss"))
def test_loss(train_here: Train, tmp_path: Path, option: str, task: str) -> None:
    keep_contract(train_here, [*for_task(task, tmp_path), f"loss={option}"], tmp_path)


@pytest.mark.parametrize(("option", "task"), tasks_of("metric"))
def test_metric(train_here: Train, tmp_path: Path, option: str, task: str) -> None:
    keep_contract(train_here, [*for_task(task, tmp_path), f"metric=[{option}]"], tmp_path)


@pytest.mark.parametrize("option", options_of("optimizer"))
def test_optimizer(train_here: Train, tmp_path: Path, option: str) -> None:
    keep_contract(train_here, [f"optimizer={option}", *SMALL], tmp_path)


@pytest.mark.parametrize("option", options_of("schedule"))
def test_schedule(train_here: Train, tmp_path: Path, option: str) -> None:
    given = [f"schedule={option}", "loop.eval_every=1", *SMALL]
    keep_contract(train_here, given, tmp_path)
