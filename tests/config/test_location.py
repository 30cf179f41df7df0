from pathlib import Path

import pytest

from expt.config import location


def test_config_directory_contains_configs() -> None:
    assert (location.config_directory() / "config.yaml").is_file()


@pytest.mark.parametrize("is_wheel", [True, False])
def test_config_directory_is_inside_package_in_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wheel: bool
) -> None:
    package = tmp_path / "src" / "expt"
    (package / "config").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    if is_wheel:
        (package / "conf").mkdir()
    monkeypatch.setattr(location, "__file__", str(package / "config" / "location.py"))
    assert location.config_directory() == (package / "conf" if is_wheel else tmp_path / "conf")


def test_options_are_sorted_file_names() -> None:
    assert location.options("debug") == [
        *("eager", "gradients", "lr_finder", "one_batch", "overfit", "profile", "schedule")
    ]
    assert location.options("loop") == ["default"]
    assert location.options("no_such_group") == []


def test_replaced_options_are_reported(tmp_path: Path) -> None:
    conf = location.config_directory()
    for place, text in (
        ("optimizer/adam.yaml", "learning_rate: 0.5\n"),
        ("optimizer/sgd.yaml", "learning_rate: 0.5\n"),
        ("metric/f1.yaml", "f1: {}\n"),
        ("metric/auc.yaml", "auc: {}\n"),
        ("act/mine.yaml", "_target_: keras.layers.ReLU\n"),
        ("loss/mse.yaml", (conf / "loss" / "mse.yaml").read_text()),
    ):
        file = tmp_path / place
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    config = {"optimizer": {"learning_rate": 0.5}, "metric": {"accuracy": {}, "f1": {}}}
    choices = {"optimizer": "adam", "act": "mine", "loss": "mse"}
    assert location.replaced_options(config, choices, tmp_path) == [
        f"metric=f1: {tmp_path}/metric/f1.yaml is used instead of expt's own option.",
        f"optimizer=adam: {tmp_path}/optimizer/adam.yaml is used instead of expt's own option.",
    ]
