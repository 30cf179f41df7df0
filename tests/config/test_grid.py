"""Expansion of a sweep's grid in Hydra's order, and zipped keys."""

from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from expt.config.compose import compose_jobs
from expt.config.grid import expand
from expt.errors import UserError

GRID = ["act=relu,tanh", "loss=crossentropy,mse", "seed=0,1"]


def expanded(overrides: list[str], zipped: Any = None) -> list[list[str]]:
    return expand(OverridesParser.create().parse_overrides(overrides), zipped)


@pytest.mark.parametrize(
    "overrides",
    [
        GRID,
        ["seed=range(0,3)", "name=x", "act=relu,tanh"],
        ["model.units=[1],[2,3]", "+optimizer.x=1,2", "~schedule"],
        ["name='a,b',c", "seed=5"],
        [],
    ],
)
def test_grid_has_order_of_hydra(overrides: list[str]) -> None:
    parsed = OverridesParser.create().parse_overrides(overrides)
    (hydras,) = BasicSweeper.split_arguments(parsed, None)
    assert expand(parsed, None) == hydras


def test_later_values_of_key_replace_earlier_ones() -> None:
    assert expanded(["act=relu,tanh", "act=gelu,selu"]) == [["act=gelu"], ["act=selu"]]


def test_equal_jobs_are_rejected() -> None:
    with pytest.raises(UserError, match=r"act=relu seed=0: the sweep has 2 jobs with these values"):
        expanded(["act=relu,tanh", "seed=0,1,0"])


@pytest.mark.parametrize("zipped", [["act", "loss"], [["act", "loss"]]])
def test_zipped_keys_are_paired_within_grid(zipped: Any) -> None:
    assert expanded(GRID, OmegaConf.create(zipped)) == [
        ["act=relu", "loss=crossentropy", "seed=0"],
        ["act=relu", "loss=crossentropy", "seed=1"],
        ["act=tanh", "loss=mse", "seed=0"],
        ["act=tanh", "loss=mse", "seed=1"],
    ]


def test_zipped_keys_take_place_of_first() -> None:
    assert expanded(GRID, ["seed", "act"]) == [
        ["loss=crossentropy", "seed=0", "act=relu"],
        ["loss=crossentropy", "seed=1", "act=tanh"],
        ["loss=mse", "seed=0", "act=relu"],
        ["loss=mse", "seed=1", "act=tanh"],
    ]


def test_lists_of_zipped_keys_are_combined() -> None:
    overrides = ["act=relu,tanh", "loss=mse,mae", "seed=0,1,2", "name=a,b,c"]
    jobs = expanded(overrides, [["act", "loss"], ["seed", "name"]])
    assert jobs == [
        [*pair, *other]
        for pair in (["act=relu", "loss=mse"], ["act=tanh", "loss=mae"])
        for other in (["seed=0", "name=a"], ["seed=1", "name=b"], ["seed=2", "name=c"])
    ]


def test_added_key_can_be_zipped() -> None:
    jobs = expanded(["+optimizer.x=1,2", "++seed=0,1"], ["optimizer.x", "seed"])
    assert jobs == [["+optimizer.x=1", "++seed=0"], ["+optimizer.x=2", "++seed=1"]]


@pytest.mark.parametrize(
    ("zipped", "message"),
    [
        (["act", "los"], ["['act', 'los']", "los needs several values", "'loss'"]),
        (["act", "name"], ["name needs several values", "name=…,…", "Valid: act, loss, seed"]),
        (["act", "model.units"], ["model.units needs several values"]),
        (["act", "depth"], ["act has 2, +depth has 3"]),
        ("act", ["sweep.zip=act", "[act,loss]"]),
        (3, ["sweep.zip=3", "[act,loss]"]),
        (True, ["sweep.zip=True", "[act,loss]"]),
        ({"act": "loss"}, ["sweep.zip={'act': 'loss'}", "[act,loss]"]),
        ([1, 2], ["sweep.zip=[1, 2]", "[act,loss]"]),
        ([["act"], "loss"], ["sweep.zip=[['act'], 'loss']", "[act,loss]"]),
        ([["act", 3]], ["sweep.zip=[['act', 3]]", "[act,loss]"]),
        (["act", "act"], ["act occurs twice"]),
        ([["act", "loss"], ["seed", "act"]], ["act occurs twice"]),
    ],
)
def test_invalid_zip_is_rejected(zipped: Any, message: list[str]) -> None:
    depth = ["+depth=1,2,3"] if "depth" in str(zipped) else []
    with pytest.raises(UserError) as caught:
        expanded([*GRID, "name=x", *depth], zipped)
    assert [text for text in message if text not in str(caught.value)] == [], caught.value


@pytest.fixture
def presets(tmp_path: Path) -> str:
    """Returns a `conf/` folder with a preset that sweeps two zipped keys."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/steps.yaml").write_text(
        "# @package _global_\n"
        "sweep: {zip: [act, loss]}\n"
        "hydra:\n  sweeper:\n    params:\n"
        "      act: relu,tanh\n      loss: crossentropy,mse\n      seed: 0,1\n"
    )
    return str(tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [("relu", 0), ("relu", 1), ("tanh", 0), ("tanh", 1)]),
        (["seed=7"], [("relu", 7), ("tanh", 7)]),
        (["act=elu,gelu", "seed=3"], [("elu", 3), ("gelu", 3)]),
        (
            ["seed=0", "optimizer=sgd,adam"],
            [("relu", "sgd"), ("relu", "adam"), ("tanh", "sgd"), ("tanh", "adam")],
        ),
    ],
)
def test_command_line_replaces_swept_values_of_preset(
    presets: str, given: list[str], expected: list[tuple[Any, ...]]
) -> None:
    jobs, _ = compose_jobs(["experiment=steps", *given], presets, multirun=True)
    second = "optimizer" if any("optimizer" in one for one in given) else "seed"
    losses = {"relu": "crossentropy", "elu": "crossentropy", "tanh": "mse", "gelu": "mse"}
    assert [
        (job.choices["act"], job.choices.get(second, job.config.seed)) for job in jobs
    ] == expected
    assert all(job.choices["loss"] == losses[job.choices["act"]] for job in jobs)
