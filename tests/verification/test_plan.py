from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.config.compose import compose_jobs
from expt.errors import UserError
from expt.train.data_loading import DataLoader
from expt.train.timeline import make_timeline
from expt.verification.plan import VerificationPlan, make_plan


def plan_of(overrides: Sequence[str], folder: Path) -> VerificationPlan:
    (job,), _ = compose_jobs(["data=iris", *overrides], None, multirun=False)
    return make_plan(job, DataLoader()(job), folder)


def test_epochs_and_evaluations_occur_several_times(tmp_path: Path) -> None:
    given = ["data.batch_size=4", "loop.image_every=1", "loop.profile=5"]
    plan = plan_of(given, tmp_path)
    (job,), _ = compose_jobs(["data=iris", "data.batch_size=4"], None, multirun=False)
    timeline = make_timeline(plan.job, DataLoader()(job).limited(plan.batches))
    steps = range(1, timeline.total_steps + 1)
    assert timeline.total_steps == 24
    assert timeline.epoch_of(24) == 3
    assert sum(map(timeline.evaluates_after, steps)) == 5
    loop = plan.job.config.loop
    assert (loop.save_every, loop.image_every, loop.profile) == (1, None, None)
    assert plan.left_out == ()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_interruption_is_within_an_epoch_and_between_evaluations(
    tmp_path: Path, seed: int, accumulated: int
) -> None:
    given = ["data.batch_size=4", f"seed={seed}"]
    if accumulated > 1:
        given.append(f"optimizer.gradient_accumulation_steps={accumulated}")
    plan = plan_of(given, tmp_path)
    timeline = make_timeline(plan.job, DataLoader()(plan.job).limited(plan.batches))
    assert plan.total_steps == 24
    assert timeline.steps_per_epoch == 24 * 2 // 5 or plan.batches * 4 > 105
    assert 8 <= plan.interrupt_at <= 16
    assert plan.interrupt_at % 5
    assert plan.interrupt_at % timeline.steps_per_epoch


def test_the_seed_determines_the_interruption(tmp_path: Path) -> None:
    drawn = [plan_of([f"seed={seed}"], tmp_path).interrupt_at for seed in (0, 0, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_fewer_steps_and_shorter_cadences_of_the_user_are_kept(tmp_path: Path) -> None:
    plan = plan_of(["loop.steps=7", "loop.eval_every=1"], tmp_path)
    assert (plan.total_steps, plan.job.config.loop.eval_every) == (7, 1)
    assert plan_of(["loop.epochs=1"], tmp_path).total_steps == 6
    assert plan_of(["loop.steps=2"], tmp_path).interrupt_at == 1


def test_options_that_end_a_training_early_are_left_out(tmp_path: Path) -> None:
    plan = plan_of(["loop.patience=1", "loop.target_loss=0.1"], tmp_path)
    assert plan.left_out == ("loop.patience", "loop.target_loss")
    assert plan.job.config.loop.patience is plan.job.config.loop.target_loss is None


def test_a_single_step_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loop\.steps=1: expected at least 2"):
        plan_of(["loop.steps=1"], tmp_path)


def test_a_written_plan_is_read_back_unchanged(tmp_path: Path) -> None:
    plan = plan_of(["optimizer.learning_rate=1e-05", "act=tanh"], tmp_path)
    plan.write(tmp_path)
    read = VerificationPlan.read(tmp_path)
    assert read == plan
    assert read.job.config.optimizer["learning_rate"] == 1e-05
