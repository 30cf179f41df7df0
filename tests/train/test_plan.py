from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.train.input.order import batch_indices
from expt.train.plan import Plan


def make_plan(
    eval_every: Any = "1ep",
    image_every: Any = None,
    total_steps: int = 10,
    save_every: Any = None,
) -> Plan:
    return Plan(
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
    assert [make_plan().epoch_of(step) for step in range(1, 11)] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("cadence", "due"), [("1ep", [4, 8, 10]), (3, [3, 6, 9, 10]), (5, [5, 10]), (None, [10])]
)
def test_what_is_due_is_due_at_the_end_too(cadence: Any, due: list[int]) -> None:
    plan = make_plan(eval_every=cadence, image_every=cadence)
    assert [step for step in range(1, 11) if plan.evaluates_after(step)] == due
    drawn = [] if cadence is None else due
    assert [step for step in range(1, 11) if plan.draws_after(step)] == drawn


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
    plan, step, found = make_plan(eval_every, image_every), 0, []
    while step < plan.total_steps:
        step += plan.steps_to_border(step)
        found.append(step)
    assert found == borders


def test_indices_are_those_of_the_order() -> None:
    np.testing.assert_array_equal(make_plan().indices(3, 4), batch_indices(5, 3, 4, 17, 4))


@pytest.mark.parametrize(("cadence", "drawn"), [("1ep", True), (100, True), (None, False)])
def test_the_beginning_and_the_end_are_drawn_unless_never(cadence: Any, drawn: bool) -> None:
    plan = make_plan(image_every=cadence)
    assert plan.draws_at_end is plan.draws_after(0) is drawn
