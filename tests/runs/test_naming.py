from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.runs.naming import distinctive_keys, run_name, sweep_name, varied_keys


def _job(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


def _name(job: Job, varied: Sequence[str] = ()) -> str:
    return run_name(job, distinctive_keys(job, varied), varied)


@pytest.mark.parametrize(
    ("overrides", "keys", "name"),
    [
        ((), [], "digits-mlp"),
        (("loss=crossentropy", "act=relu"), [], "digits-mlp"),
        (("act=tanh",), ["act"], "mlp-tanh"),
        (("optimizer.learning_rate=0.001",), [], "digits-mlp"),
        (("optimizer.learning_rate=1e-5",), ["optimizer.learning_rate"], "mlp-lr1e-05"),
        (("seed=3", "model=cnn"), ["model", "seed"], "cnn-s3"),
        (
            ("loop.epochs=5", "loss=mse", "act=gelu", "data=iris"),
            ["data", "act", "loss", "loop.epochs"],
            "iris-mlp-gelu-mse-ep5",
        ),
        (("model.units=[32,16]",), ["model.units"], "mlp-units32x16"),
        (("data.batch_size=16",), ["data.batch_size"], "mlp-bs16"),
        (("loop.patience=3", "loop.watch=val/accuracy"), None, "mlp-patience3-watch-val_accuracy"),
        (
            ("name=other", "output_dir=else", "recorder=[]", "loop.save_every=null"),
            [],
            "digits-mlp",
        ),
        (
            ("data=csv", "data.path=folder/sales 2024.csv", "data.target=price"),
            ["data", "data.target", "data.path"],
            "sales_2024-mlp-target-price",
        ),
        (("experiment=autoencoder",), None, "autoencoder"),
        (("experiment=autoencoder", "act=tanh", "seed=1"), None, "autoencoder-tanh-s1"),
    ],
)
def test_name_contains_values_that_differ_from_defaults(
    overrides: Sequence[str], keys: list[str] | None, name: str
) -> None:
    job = _job(*overrides)
    if keys is not None:
        assert sorted(distinctive_keys(job)) == sorted(keys)
    assert _name(job) == name


def test_values_of_users_option_are_no_change(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    yaml = "_target_: expt.parts.losses.huber\ndelta: 2.0\n"
    (tmp_path / "loss" / "mine.yaml").write_text(yaml)
    (job,), _ = compose_jobs(["loss=mine", "data=diabetes"], str(tmp_path), multirun=False)
    assert _name(job) == "diabetes-mlp-mine"
    (job,), _ = compose_jobs(
        ["loss=mine", "data=diabetes", "loss.delta=3"], str(tmp_path), multirun=False
    )
    assert _name(job) == "diabetes-mlp-mine-delta3"


def test_values_of_hook_are_no_change() -> None:
    assert _name(_job("hook=[weight_norm]")) == "digits-mlp"
    assert _name(_job("hook=[weight_norm]", "hook.weight_norm.every=5")) == "mlp-every5"


@pytest.mark.parametrize("group", ["hook", "metric"])
def test_values_of_users_option_in_a_list_are_no_change(tmp_path: Path, group: str) -> None:
    (tmp_path / group).mkdir()
    yaml = f"# @package {group}.mine\n_target_: expt.parts.metrics.top_k\nevery: 5\nk: 2\n"
    (tmp_path / group / "mine.yaml").write_text(yaml)
    for given, name in (([], "digits-mlp"), ([f"{group}.mine.k=3"], "mlp-k3")):
        overrides = [f"{group}=[mine]", *given]
        (job,), _ = compose_jobs(overrides, str(tmp_path), multirun=False)
        assert _name(job) == name


def test_values_of_preset_are_distinctive_but_not_in_name() -> None:
    keys = distinctive_keys(_job("experiment=autoencoder"))
    assert {"experiment", "model", "loss"} <= set(keys)
    assert "loop.epochs" in keys


def test_groups_come_first_in_fixed_order() -> None:
    keys = distinctive_keys(_job("seed=1", "loss=mse", "loop.epochs=2", "act=tanh", "model=cnn"))
    assert keys == ["model", "act", "loss", "seed", "loop.epochs"]


def test_varied_defaults_are_in_name() -> None:
    job = _job("act=relu", "model=cnn", "optimizer.learning_rate=0.001", "seed=0")
    varied = ["act", "optimizer.learning_rate", "seed"]
    assert _name(job, varied) == "cnn-relu-lr0.001-s0"


def test_distinctive_keys_are_params() -> None:
    from expt.config.params import make_params

    job = _job("experiment=gan", "loop.epochs=2", "seed=3", "optimizer.learning_rate=0.5")
    assert set(distinctive_keys(job)) <= set(make_params(job))


def test_name_is_valid_folder_name() -> None:
    job = _job("data=csv", "data.path=x.csv", f"data.target='{'a/b ' * 40}'")
    name = _name(job)
    assert len(name) <= 60
    assert "/" not in name
    assert " " not in name


def test_only_whole_values_are_left_out_of_a_long_name() -> None:
    overrides = [
        *("data=wine", "data.batch_size=8", "data.split_seed=12", "loop.patience=20"),
        *("loop.epochs=100", "loop.min_change=0.001", "loss.label_smoothing=0.1", "seed=3"),
    ]
    name = _name(_job(*overrides))
    assert name == "wine-mlp-bs8-split12-patience20-ep100-min_change0.001-s3"
    varied = ["loss.label_smoothing", "seed"]
    assert (
        _name(_job(*overrides), varied)
        == "wine-mlp-label_smoothing0.1-bs8-split12-patience20-ep100-s3"
    )


def test_the_end_of_a_long_sweep_name_is_a_whole_key() -> None:
    keys = [f"model.argument_number_{number}" for number in range(9)]
    assert sweep_name(keys) == "argument_number_0-argument_number_1-argument_number_2"


@pytest.mark.parametrize(
    ("jobs", "keys", "name"),
    [
        ([["act=relu", "seed=0"], ["act=tanh", "seed=0"]], ["act"], "act"),
        ([["act=relu", "seed=0"], ["act=tanh", "seed=1"]], ["act", "seed"], "act"),
        ([["seed=0"], ["seed=1"]], ["seed"], "seeds"),
        (
            [["+optimizer.learning_rate=1", "loss=mse"], ["loss=crossentropy"]],
            ["optimizer.learning_rate", "loss"],
            "lr-loss",
        ),
        ([["act=relu"]], [], "sweep"),
    ],
)
def test_sweep_is_named_after_varied_keys(
    jobs: list[list[str]], keys: list[str], name: str
) -> None:
    assert varied_keys(jobs) == keys
    assert sweep_name(keys) == name
