"""Equality of jobs from a shared composition with those that Hydra composes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from expt.config import compose
from expt.config.compose import Composition, _freeze
from expt.config.hydra_errors import convert_hydra_errors
from expt.config.hydra_setup import compose_with_hydra
from expt.config.job import ComposedJob
from expt.errors import UserError

_WORDS = st.sampled_from(
    ["a", "x y", "7", "1e-3", "true", "null", "x-${seed}", "${output_dir}", "é"]
)
_VALUES: dict[str, SearchStrategy[str]] = {
    "seed": st.sampled_from(["0", "12", "'5'", "2.0", "abc", "null", "${loop.epochs}"]),
    "name": _WORDS.map(lambda word: f"'{word}'"),
    "output_dir": st.sampled_from(["here", "'${name}-x'"]),
    "loop.epochs": st.sampled_from(["3", "4.5", "???"]),
    "loop.compile": st.sampled_from(["xla", "eager", "fast"]),
    "loop.eval_every": st.sampled_from(["5", "2ep", "null", "[1]"]),
    "loop.min_change": st.sampled_from(["1", "0.5", "1e-3"]),
    "loop.direction": st.sampled_from(["max", "null"]),
    "optimizer.learning_rate": st.sampled_from(["1e-2", "1", "inf", "${seed}", "{a:1}"]),
    "optimizer.nothing": st.just("1"),
    "model.units": st.sampled_from(["[1]", "[2,3]", "[]", "4", "['${seed}',1]", "[{a:1}]"]),
    "model.units.0": st.just("9"),
    "model": st.sampled_from(["cnn", "linear", "{dropout:0.5}"]),
    "act": st.sampled_from(["tanh", "leaky_relu", "nope"]),
    "data": st.sampled_from(["iris", "csv"]),
    "data.path": st.sampled_from(["a.csv", "'b c.csv'"]),
    "metric": st.sampled_from(["[f1]", "[accuracy,auc]"]),
    "experiment": st.sampled_from(["gan", "regression"]),
    "+optimizer.extra": st.sampled_from(["1", "${seed}"]),
    "++loop.epochs": st.just("9"),
    "~schedule": st.just(""),
    "~model.dropout": st.just(""),
    "hydra.sweep.subdir": st.sampled_from(
        ["'${hydra.job.num}'", "'${hydra.job.num}-${seed}'", "'x_${hydra.job.override_dirname}'"]
    ),
    "act@extra": st.just("tanh"),
    "sweep.zip": st.just("null"),
}


_DROPOUT = "model={dropout:0.5}"


@st.composite
def _jobs(draw: Any) -> list[list[str]]:
    """Draws the overrides of two or three jobs with the same keys."""
    keys = draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=5))
    return [
        [f"{key}={draw(_VALUES[key])}".removesuffix("=") for key in keys]
        for _ in range(draw(st.integers(2, 3)))
    ]


def _by_hydra(composition: Composition, jobs: Sequence[Sequence[str]]) -> list[ComposedJob]:
    """Composes each job with Hydra."""
    common = set(jobs[0]).intersection(*jobs)
    composed = []
    for number, job in enumerate(jobs):
        varied = ",".join(compose._unquote_value(one) for one in job if one not in common)
        with convert_hydra_errors(composition.overrides):
            composed.append(_freeze(composition._compose(job), number, varied))
    return composed


def _result(function: Any) -> Any:
    try:
        return function()
    except UserError as error:
        return str(error)


@given(jobs=_jobs())
@settings(  # without shrinking, which would take minutes
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_jobs_equal_those_of_hydra(jobs: list[list[str]]) -> None:
    composition = Composition([], multirun=True)
    expected = _result(lambda: _by_hydra(composition, jobs))
    assert _result(lambda: list(composition.compose(jobs))) == expected


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Records the overrides of each composition by Hydra."""
    found: list[list[str]] = []
    original = compose_with_hydra

    def counted(overrides: list[str], config_dir: str | None) -> Any:
        found.append(overrides[:-1])  # without the mode
        return original(overrides, config_dir)

    monkeypatch.setattr(compose, "compose_with_hydra", counted)
    return found


@pytest.mark.parametrize(
    ("overrides", "composed"),
    [
        (["seed=range(5)"], [[]]),
        (["act=relu", "seed=0,1", "loop.epochs=2"], [["act=relu", "loop.epochs=2"], ["act=relu"]]),
        (["act=relu,tanh", "seed=0,1"], [[], ["act=relu"], ["act=tanh"]]),
        (["model.units=[1],[2]", "name='x-${seed}'", "seed=0,1"], [["name='x-${seed}'"], []]),
        (["+optimizer.x=1", "seed=0,1"], [["+optimizer.x=1"]]),
        (
            [_DROPOUT, "model.units=[1],[2]"],
            [["model={dropout:0.5}"]]
            + [["model={dropout:0.5}", f"model.units=[{n}]"] for n in (1, 2)],
        ),
        (
            ["loop.epochs=1,2", "++loop.epochs=3,4"],
            [[]]
            + [
                [f"loop.epochs={one}", f"++loop.epochs={other}"]
                for one in (1, 2)
                for other in (3, 4)
            ],
        ),
    ],
)
def test_hydra_composes_once_for_jobs_that_differ_in_values(
    overrides: list[str], composed: list[list[str]], calls: list[list[str]]
) -> None:
    Composition(overrides, multirun=True).jobs()
    assert calls == composed


def test_jobs_share_unchanged_nodes() -> None:
    one, other = Composition(["seed=0,1", "model.units=[4]"], multirun=True).jobs()
    assert one.job.config.data is other.job.config.data
    assert (one.job.config.seed, other.job.config.seed) == (0, 1)
    assert one.job.config.model == other.job.config.model


def test_config_dir_can_turn_key_into_group(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "mine.yaml").write_text("# @package _global_\nseed: 9\n")
    jobs = Composition(["+name=mine", "seed=1,2"], str(tmp_path), multirun=True).jobs()
    assert [one.job.config.seed for one in jobs] == [1, 2]
