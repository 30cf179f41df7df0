from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.parts.data.dataset import Dataset
from expt.train.data_loading import DataLoader
from expt.train.input.order import batch_indices
from expt.train.timeline import Timeline, make_timeline


def timeline_of(
    eval_every: Any = "1ep",
    total_steps: int = 10,
) -> Timeline:
    return Timeline(
        seed=5,
        total_steps=total_steps,
        steps_per_epoch=4,
        num_examples=17,
        batch_size=4,
        eval_every=Cadence.parse(eval_every),
    )


def test_epochs_are_counted_from_1() -> None:
    timeline = timeline_of()
    assert [timeline.epoch_of(step) for step in range(1, 11)] == [*[1] * 4, *[2] * 4, *[3] * 2]


@pytest.mark.parametrize(
    ("cadence", "due"),
    [
        ("1ep", [4, 8, 10]),
        (3, [3, 6, 9, 10]),
        (5, [5, 10]),
        (None, [10]),
        ("9ep", [10]),
        (1, list(range(1, 11))),
    ],
)
def test_evaluations_are_due_at_their_cadence_and_at_the_end(cadence: Any, due: list[int]) -> None:
    timeline, step, found = timeline_of(cadence), 0, []
    assert [step for step in range(1, 11) if timeline.evaluates_after(step)] == due
    while step < timeline.total_steps:
        step = timeline.next_evaluation(step)
        found.append(step)
    assert found == due


def test_indices_equal_batch_indices() -> None:
    np.testing.assert_array_equal(timeline_of().indices(3, 4), batch_indices(5, 3, 4, 17, 4))


def compose_one(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return DataLoader()(compose_one())


@pytest.mark.parametrize(
    ("overrides", "total_steps"),
    [
        ((), 30 * 19),
        (("loop.epochs=2",), 2 * 19),
        (("loop.steps=7",), 7),
        (("loop.steps=7", "loop.epochs=2"), 7),
        (("loop.steps=1000", "loop.epochs=2"), 1000),
    ],
)
def test_steps_win_over_epochs(
    digits: Dataset, overrides: tuple[str, ...], total_steps: int
) -> None:
    timeline = make_timeline(compose_one(*overrides), digits)
    assert (timeline.total_steps, timeline.steps_per_epoch) == (total_steps, 19)


def test_timeline_has_seed_cadence_and_sizes_of_the_config(digits: Dataset) -> None:
    timeline = make_timeline(compose_one("seed=7", "loop.eval_every=20"), digits)
    assert (timeline.seed, timeline.num_examples, timeline.batch_size) == (7, 1257, 64)
    assert timeline.eval_every == Cadence(20)
