"""The predictions of a saved model, which follow from its loss and the task."""

from typing import Any

import pytest
import yaml

from expt.config.checks import check
from expt.config.compose import compose_jobs
from expt.config.location import config_directory, options
from expt.config.outputs import PREDICTS_KEY, PROBABILITIES_KEY, ModelOutputs, model_outputs
from expt.errors import UserError

LOSSES = {
    name: yaml.safe_load((config_directory() / "loss" / f"{name}.yaml").read_text())
    for name in options("loss")
}
SOFTMAX = ModelOutputs("probability", "softmax")


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_declares_its_predictions(name: str) -> None:
    loss = LOSSES[name]
    assert PREDICTS_KEY in loss
    assert (PROBABILITIES_KEY in loss) or "classification" not in loss["_tasks_"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, SOFTMAX) for name in ("crossentropy", "kl", "mse", "huber", "cosine")),
        ("binary_crossentropy", ModelOutputs("probability", "sigmoid")),
        *((name, ModelOutputs("score", "softmax")) for name in ("mae", "log_cosh", "focal")),
        ("hinge", ModelOutputs("score", None)),
    ],
)
def test_predictions_of_classes(name: str, expected: ModelOutputs) -> None:
    assert model_outputs(LOSSES[name], "classification") == expected


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("crossentropy", {"label_smoothing": 0.1}),
        ("crossentropy", {"class_weights": [1.0, 2.0]}),
        ("binary_crossentropy", {"label_smoothing": 0.1}),
        ("kl", {"label_smoothing": 0.1}),
        ("huber", {"delta": 0.5}),
    ],
)
def test_arguments_that_turn_probabilities_into_scores(name: str, changes: dict[str, Any]) -> None:
    changed = model_outputs(LOSSES[name] | changes, "classification")
    assert changed == ModelOutputs("score", model_outputs(LOSSES[name], "classification").link)


def test_focal_loss_without_focus_predicts_probabilities() -> None:
    assert model_outputs(LOSSES["focal"] | {"gamma": 0.0}, "classification") == SOFTMAX


@pytest.mark.parametrize(
    ("name", "task", "link"),
    [
        ("mse", "regression", None),
        ("cosine", "reconstruction", None),
        ("quantile", "regression", None),
        ("binary_crossentropy", "regression", "sigmoid"),
        ("binary_crossentropy", "reconstruction", "sigmoid"),
        ("poisson", "reconstruction", "softplus"),
        ("kl", "regression", "softmax"),
        ("binary_crossentropy", "generation", None),
        ("mse", "generation", None),
    ],
)
def test_predictions_of_values(name: str, task: str, link: str | None) -> None:
    assert model_outputs(LOSSES[name], task) == ModelOutputs("value", link)


@pytest.mark.parametrize("name", LOSSES)
def test_older_config_uses_current_declarations(name: str) -> None:
    old = {k: v for k, v in LOSSES[name].items() if k not in (PREDICTS_KEY, PROBABILITIES_KEY)}
    for task in LOSSES[name]["_tasks_"]:
        assert model_outputs(old, task) == model_outputs(LOSSES[name], task)


def test_loss_of_user_predicts_as_declared() -> None:
    own = {"_target_": "mine.losses.loss"}
    assert model_outputs(own, "classification") == ModelOutputs("score", "softmax")
    assert model_outputs(own, "regression") == ModelOutputs("value", None)
    assert model_outputs(own | {PROBABILITIES_KEY: True}, "classification") == SOFTMAX
    sigmoid = own | {PREDICTS_KEY: "sigmoid", PROBABILITIES_KEY: {"alpha": 1}}
    assert model_outputs(sigmoid, "classification") == ModelOutputs("probability", "sigmoid")
    assert model_outputs(sigmoid | {"alpha": 2}, "classification").kind == "score"
    assert model_outputs(own | {PREDICTS_KEY: None}, "classification").link is None


def test_invalid_link_is_rejected_before_loading() -> None:
    for value in ("tanh", "[softmax]", "3", "{classes: softmax}", "{classification: tanh}"):
        (job,), _ = compose_jobs([f"loss._predicts_={value}"], None, multirun=False)
        with pytest.raises(UserError, match=r"loss\._predicts_=.*: expected one of softmax, sigm"):
            check(job)
    (job,), _ = compose_jobs(
        ["loss=hinge", "loss._probabilities_=yes please"], None, multirun=False
    )
    with pytest.raises(UserError, match=r"loss\._probabilities_=yes please: expected true, false"):
        check(job)
