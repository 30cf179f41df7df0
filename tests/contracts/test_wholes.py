"""Every option of the other groups, found by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visdom_helpers import require_visdom

from contracts.contract import SMALL, assert_kept, keep_contract, options_of
from contracts.example_data import FILES
from expt.config.location import config_directory

Train = Callable[..., Any]

# What options need beside their own defaults.
FOR_MODEL = {
    "autoencoder": ["loss=mse"],
    "gan": ["loss=binary_crossentropy"],
    "custom": ["model._target_=contracts.user_parts.build", "+model.width=16"],
}
TO_LEARN = {"linear": ["optimizer.learning_rate=0.01"]}  # in fewer steps
FOR_DATA = {"diabetes": ["loss=mse"], "linear": ["loss=mse"]}
# Many of their layers are alike, and the graph of all takes long to make. Other tests train the
# architecture that is the default of keras_application (train/test_doctor.py).
SHALLOW = {
    "resnet": ["model.depth=8", "model.width=4"],
    "vit": ["model.depth=1", "model.width=16"],
    "keras_application": ["model.name=MobileNet"],
}
FOR_EXPERIMENT = {"mnist_mlp": "mnist", "cifar_resnet": "cifar10"}


def is_classifier(option: str) -> bool:
    text = (config_directory() / "model" / f"{option}.yaml").read_text(encoding="utf-8")
    return "_task_:" not in text


@pytest.mark.parametrize("option", [one for one in options_of("model") if is_classifier(one)])
def test_model_learns_a_batch_by_heart(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """It keeps the contract in `resume.test_every_option`, as every source of data does."""
    monkeypatch.setenv("EXPT_ALLOW", "contracts.user_parts")
    given = [f"model={option}", *FOR_MODEL.get(option, []), *SHALLOW.get(option, [])]
    run = train_here(["debug=overfit", *given, *TO_LEARN.get(option, [])], tmp_path)
    assert run.record.stopped == "train/loss fell below 0.01"
    assert_kept(run)


def test_sequential_model_of_a_user(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "contracts.user_parts")
    given = ["model=custom", "model._target_=contracts.user_parts.build_sequential"]
    keep_contract(train_here, given, tmp_path)


@pytest.mark.parametrize("option", options_of("recorder"))
def test_recorder(train_here: Train, tmp_path: Path, option: str) -> None:
    if option == "visdom":
        require_visdom()
    keep_contract(train_here, [f"recorder=[{option}]", *SMALL], tmp_path)


@pytest.mark.parametrize("option", options_of("hook"))
def test_hook(train_here: Train, tmp_path: Path, option: str) -> None:
    keep_contract(train_here, [f"hook=[{option}]", f"hook.{option}.every=1", *SMALL], tmp_path)


@pytest.mark.parametrize("option", options_of("probe"))
def test_probe(train_here: Train, tmp_path: Path, option: str) -> None:
    keep_contract(train_here, [f"probe=[{option}]", f"probe.{option}.every=1", *SMALL], tmp_path)


@pytest.mark.parametrize("option", options_of("loop"))
def test_loop(train_here: Train, tmp_path: Path, option: str) -> None:
    keep_contract(train_here, [f"loop={option}", *SMALL], tmp_path)


@pytest.mark.parametrize("option", options_of("experiment"))
def test_experiment(train_here: Train, tmp_path: Path, option: str) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    files = FILES[FOR_EXPERIMENT[option]](folder) if option in FOR_EXPERIMENT else []
    shallow = SHALLOW["resnet"] if option == "cifar_resnet" else []
    keep_contract(train_here, [f"experiment={option}", *files, *shallow], tmp_path)


@pytest.mark.parametrize("option", options_of("debug"))
def test_debug(train_here: Train, tmp_path: Path, option: str) -> None:
    # Three steps are too few for learning a batch by heart.
    without_target = ["loop.target_loss=null"] if option == "overfit" else []
    keep_contract(train_here, [f"debug={option}", *without_target, *SMALL], tmp_path)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_precision(train_here: Train, tmp_path: Path, precision: str) -> None:
    """A saved model predicts in float32, and is evaluated on the raw outputs of training."""
    keep_contract(train_here, [f"loop.precision={precision}", "loss=hinge", *SMALL], tmp_path)
