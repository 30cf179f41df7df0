from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.config.compose import Job, compose_jobs
from expt.parts.data.dataset import Dataset
from expt.train.data_loading import DataLoader
from expt.train.input.order import batch_indices
from expt.train.timeline import Timeline, make_timeline


def timeline_of(
    eval_every: Any = "1ep",
    image_every: Any = None,
    total_steps: int = 10,
    save_every: Any = None,
) -> Timeline:
    return Timeline(
        seed=5,
        total_steps=total_steps,
        steps_per_epoch=4,
        num_examples=17,
        batch_size=4,
        eval_every=Cadence.parse(eval_every),
        image_every=Cadence.parse(image_every),
        save_every=Cadence.parse(save_every),
    )


def test_epochs_count_from_one() -> None:
    assert [timeline_of().epoch_of(step) for step in range(1, 11)] == [
        1,
        1,
        1,
        1,
        2,
        2,
        2,
        2,
        3,
        3,
    ]


@pytest.mark.parametrize(
    ("cadence", "due"), [("1ep", [4, 8, 10]), (3, [3, 6, 9, 10]), (5, [5, 10]), (None, [10])]
)
def test_what_is_due_is_due_at_the_end_too(cadence: Any, due: list[int]) -> None:
    timeline = timeline_of(eval_every=cadence, image_every=cadence)
    assert [step for step in range(1, 11) if timeline.evaluates_after(step)] == due
    drawn = [] if cadence is None else due
    assert [step for step in range(1, 11) if timeline.draws_after(step)] == drawn


@pytest.mark.parametrize(
    ("eval_every", "image_every", "borders"),
    [
        ("1ep", None, [4, 8, 10]),
        (None, "1ep", [4, 8, 10]),
        ("1ep", 3, [3, 4, 6, 8, 9, 10]),
        (100, "9ep", [10]),
        (None, None, [10]),
        (1, None, list(range(1, 11))),
    ],
)
def test_borders_are_wherever_something_is_due(
    eval_every: Any, image_every: Any, borders: list[int]
) -> None:
    timeline, step, found = timeline_of(eval_every, image_every), 0, []
    while step < timeline.total_steps:
        step += timeline.steps_to_border(step)
        found.append(step)
    assert found == borders


def test_indices_are_those_of_the_order() -> None:
    np.testing.assert_array_equal(timeline_of().indices(3, 4), batch_indices(5, 3, 4, 17, 4))


@pytest.mark.parametrize(("cadence", "drawn"), [("1ep", True), (100, True), (None, False)])
def test_the_beginning_and_the_end_are_drawn_unless_never(cadence: Any, drawn: bool) -> None:
    timeline = timeline_of(image_every=cadence)
    assert timeline.draws_at_end is timeline.draws_after(0) is drawn


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


def test_a_timeline_has_the_configs_seed_cadences_and_sizes(digits: Dataset) -> None:
    timeline = make_timeline(
        compose_one("seed=7", "loop.eval_every=20", "loop.image_every=null"), digits
    )
    assert (timeline.seed, timeline.num_examples, timeline.batch_size) == (7, 1257, 64)
    assert (timeline.eval_every, timeline.image_every) == (Cadence(20), Cadence(None))
