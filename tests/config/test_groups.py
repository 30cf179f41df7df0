from pathlib import Path

import pytest

from expt.config.compose import compose_jobs
from expt.config.groups import default_option, groups, is_list_group, option_values
from expt.errors import UserError


def test_defaults_are_read_from_config() -> None:
    assert {"act", "data", "loss", "metric", "model"} <= set(groups())
    assert (default_option("act"), default_option("metric")) == ("relu", None)
    assert [group for group in groups() if is_list_group(group)] == [
        "hook",
        "metric",
        "probe",
        "recorder",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("act=[relu,tanh]", r"act=\[relu,tanh\]: expected one option, not a list\. Did you mean "),
        ("act=[relu,tanh]", "act=relu,tanh with -m, to train one job for each"),
        ("loss=[mse,mae]", "loss=mse,mae with -m"),
        ("model=[mlp, cnn]", "model=mlp,cnn with -m"),
        ("data=[digits]", r"Did you mean data=digits\?$"),
        ("loop=[]", r"Did you mean loop=default\?$"),
        ("experiment=[losses,gan]", r"Did you mean experiment=losses\?$"),
        ("debug=[eager]", r"Did you mean debug=eager\?$"),
        ("hydra/launcher=[local]", r"launcher=\[local\]: .* Did you mean launcher=local\?$"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_list_for_single_option_is_rejected(override: str, message: str, multirun: bool) -> None:
    with pytest.raises(UserError, match=message):
        compose_jobs([override], None, multirun)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "~sweep",
            "sweep can't be deleted; set its keys one by one instead, such as sweep.workers=2.",
        ),
        ("~sweep.zip", "sweep.zip can't be deleted; set another value instead: sweep.zip=…."),
        ("~loop", "loop can't be deleted; set another value instead: loop=…."),
        (
            "~loop.epochs=20",
            "loop.epochs can't be deleted; set another value instead: loop.epochs=….",
        ),
        ("~data", "data can't be deleted; set another value instead: data=…."),
        ("~loss=mse", "loss can't be deleted; set another value instead: loss=…."),
        ("~metric", "metric can't be deleted; metric=[] selects none of its options."),
        ("~recorder", "recorder can't be deleted; recorder=[] selects none of its options."),
        ("~seed", "seed can't be deleted; set another value instead: seed=…."),
        ("~name", "name can't be deleted; set another value instead: name=…."),
        ("~output_dir", "output_dir can't be deleted; set another value instead: output_dir=…."),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_required_key_cannot_be_deleted(override: str, expected: str, multirun: bool) -> None:
    with pytest.raises(UserError) as caught:
        compose_jobs([override], None, multirun)
    assert str(caught.value) == f"{override}: {expected}"


def test_list_option_and_part_argument_can_be_deleted() -> None:
    typed = ["~metric.mae", "~recorder.mlflow", "~data.split_seed"]
    (job,), _ = compose_jobs(typed, None, multirun=False)
    assert list(job.config.metric) == ["accuracy", "rmse"]
    assert list(job.config.recorder) == ["tensorboard"]
    assert "split_seed" not in job.config.data


def test_list_groups_accept_lists() -> None:
    (job,), _ = compose_jobs(["metric=[f1,auc]", "recorder=[mlflow]"], None, multirun=False)
    assert (list(job.config.metric), list(job.config.recorder)) == (["f1", "auc"], ["mlflow"])


def test_list_in_preset_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /act: [relu, tanh]\n"
    )
    with pytest.raises(UserError, match=r"act: a preset or a config chooses a list .*/act: relu"):
        compose_jobs(["experiment=mine"], str(tmp_path), multirun=False)


def test_option_values() -> None:
    assert option_values("act", "relu") == {
        "_target_": "keras.layers.ReLU",
        "_initializer_": "he_normal",
    }
    assert option_values("act", "mine") == option_values("act", None) == {}
