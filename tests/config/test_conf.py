"""Contract tests of every yaml of every group; new files are found automatically."""

import inspect
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import keras
import pytest

from expt.config.checks import check
from expt.config.compose import compose_jobs
from expt.config.instantiate import bind_part
from expt.config.location import config_directory
from expt.config.schema import PARTS, Config, Loop
from expt.errors import UserError

YAMLS = sorted(config_directory().glob("*/*.yaml"))
IN_LISTS = ("metric", "recorder")
PRESETS = ("experiment", "debug")
# Overrides for the values that a yaml leaves to the user.
OPEN = {
    "data=csv": ["data.path=x", "data.target=y"],
    "data=npz": ["data.path=x"],
    "data=image_folder": ["data.path=x"],
    "data=tfds": ["data.name=x"],
    "model=custom": ["model._target_=expt.parts.models.dense.mlp", "+model.units=[3]"],
}
LOOPS = [path for path in YAMLS if path.parent.name == "loop"]
OF_PARTS = [path for path in YAMLS if path.parent.name in (*PARTS, *IN_LISTS)]
# The arguments that expt supplies to the targets of each group.
SUPPLIED: dict[str, dict[str, Any]] = {
    "data": {},
    "model": {"input_shape": (8, 8, 1), "num_outputs": 3, "act": keras.layers.ReLU},
    "act": {},
    "loss": {"targets": None, "outputs": None},
    "optimizer": {"learning_rate": 0.1},
    "schedule": {"learning_rate": 0.1, "total_steps": 10},
    "metric": {"targets": None, "outputs": None},
    "recorder": {},
}
# Only the signatures of the other groups are checked: losses and metrics take tensors, and
# recorders start processes.
MADE = ("data", "model", "act", "optimizer", "schedule")


def name_of(path: Path) -> str:
    return f"{path.parent.name}={path.stem}"


@cache
def composed(path: Path) -> Any:
    group, option = path.parent.name, path.stem
    override = f"{group}=[{option}]" if group in IN_LISTS else f"{group}={option}"
    (job,), _ = compose_jobs([override, *OPEN.get(override, [])], None, multirun=False)
    check(job)
    node = getattr(job.config, group)
    return node[option] if group in IN_LISTS else node


def make(node: Any, group: str) -> None:
    made, supplied = bind_part(node, group), SUPPLIED[group]
    inspect.signature(made.func).bind(**{**made.keywords, **supplied})
    if group in MADE:
        made(**supplied)


def test_schema_has_every_group() -> None:
    groups = {path.parent.name for path in YAMLS} - set(PRESETS)
    assert groups <= {field.name for field in fields(Config)}
    assert {path.parent.name for path in OF_PARTS} == set(SUPPLIED)


@pytest.mark.parametrize("path", OF_PARTS, ids=name_of)
def test_part_composes_and_accepts_its_arguments(path: Path) -> None:
    make(composed(path), path.parent.name)


@pytest.mark.parametrize("path", OF_PARTS, ids=name_of)
def test_misspelt_argument_is_rejected(path: Path) -> None:
    with pytest.raises((UserError, TypeError, ValueError), match="no_such_argument"):
        make({**composed(path), "no_such_argument": 1}, path.parent.name)


@pytest.mark.parametrize("path", LOOPS, ids=name_of)
def test_loop_sets_every_key_of_schema(path: Path) -> None:
    assert set(vars(composed(path))) == {field.name for field in fields(Loop)}
