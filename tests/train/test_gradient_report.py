from pathlib import Path

import pytest

from conftest import Command

LINEAR = ("debug=gradients", "data=linear", "model=linear", "loss=mse")


def test_gradients_of_default_config(run_here: Command, tmp_path: Path) -> None:
    """With what is random or has state in a step, and with a penalty on the weights."""
    own = ["model.units=[16]", "model.dropout=0.3", "model.normalization=batch", "model.l2=0.01"]
    done = run_here("debug=gradients", "loss.class_weights=balanced", *own, folder=tmp_path)
    assert done.code == 0, done.error
    assert "the gradients of all 5 weights are correct (in float64, tolerance 1e-05)" in done.out
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("loss", "code", "last"),
    [
        ("right_gradient", 0, "the gradients of all 2 weights are correct (in float64"),
        ("wrong_gradient", 1, "the gradients of 2 of 2 weights are wrong (in float64"),
        ("in_float32", 0, "the gradients of all 2 weights are correct (in float32"),
        ("wrong_in_float32", 1, "the gradients of 2 of 2 weights are wrong (in float32"),
    ],
)
def test_gradient_of_users_loss(
    run_here: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
    code: int,
    last: str,
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "custom_losses")
    done = run_here(*LINEAR, f"loss._target_=custom_losses.{loss}", folder=tmp_path)
    assert done.code == code, done.error
    assert last in done.out
    assert ("note: checked in float32" in done.out) == ("float32" in loss)
    assert done.out.count("WRONG") == (2 if code else 0)


def test_invalid_loss_is_reported_as_in_training(run_here: Command, tmp_path: Path) -> None:
    done = run_here("debug=gradients", "model.units=[8,0]", folder=tmp_path)
    assert done.code == 2
    assert "model.units" in done.error
