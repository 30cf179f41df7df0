"""Values of presets and defaults, checked against the papers and libraries that they follow."""

from types import SimpleNamespace
from typing import Any

import pytest

from expt.config.compose import compose_jobs
from expt.train.optimizer import make_schedule
from expt.train.timeline import make_timeline


def composed(*overrides: str) -> Any:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


def test_resnet_preset_has_recipe_of_paper() -> None:
    """K. He et al., arXiv:1512.03385, section 4.2, with the deviations that the preset states."""
    job = composed("experiment=cifar_resnet")
    config = job.config
    train = range(50_000 - config.data["num_validation"])
    assert len(train) == 45_000
    dataset: Any = SimpleNamespace(train=train, batch_size=128, steps_per_epoch=45_000 // 128)
    timeline = make_timeline(job, dataset)
    assert timeline.total_steps == 63_882
    schedule = make_schedule(job, timeline.total_steps)
    steps = (0, 31_940, 31_941, 47_911, 47_912, 63_881)
    found = [float(schedule(step)) for step in steps]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    for paper, ours in ((32_000, 31_941), (48_000, 47_912), (64_000, 63_882)):
        assert ours == pytest.approx(paper, rel=0.002)
    assert config.optimizer["momentum"] == 0.9
    assert config.optimizer["weight_decay"] is None
    assert 2 * config.model["l2"] == pytest.approx(0.0001)
    assert config.act["_initializer_"] == "he_normal"
    augment = {"flip": True, "shift": 4, "crop": 1.0, "cutout": 0, "mixup": 0.0}
    assert config.data["augment"] == augment


def test_one_cycle_has_fractions_of_pytorch() -> None:
    """OneCycleLR(pct_start=0.3, div_factor=25, final_div_factor=1e4)."""
    schedule = composed("schedule=one_cycle").config.schedule
    assert schedule["warmup"] == 0.3
    assert schedule["initial_fraction"] == pytest.approx(1 / 25)
    assert schedule["final_fraction"] == pytest.approx(1 / 25 / 1e4)


def test_lion_has_rate_and_betas_of_paper() -> None:
    """X. Chen et al., arXiv:2302.06675: a third to a tenth of AdamW's rate, and these betas."""
    lion, adamw = (composed(f"optimizer={name}").config.optimizer for name in ("lion", "adamw"))
    assert adamw["learning_rate"] / 10 <= lion["learning_rate"] <= adamw["learning_rate"] / 3
    assert (lion["beta_1"], lion["beta_2"]) == (0.9, 0.99)
