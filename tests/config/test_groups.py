from pathlib import Path

import pytest

from expt.config.compose import compose_jobs
from expt.config.groups import default_option, groups, takes_several
from expt.errors import UserError


def test_defaults_are_those_of_the_config() -> None:
    assert {"act", "data", "loss", "metric", "model"} <= set(groups())
    assert (default_option("act"), default_option("metric")) == ("relu", None)
    assert [group for group in groups() if takes_several(group)] == ["metric", "recorder"]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("act=[relu,tanh]", r"act=\[relu,tanh\]: expected one option, not a list\. Did you mean "),
        ("act=[relu,tanh]", "act=relu,tanh with -m, to train a job with each"),
        ("loss=[mse,mae]", "loss=mse,mae with -m"),
        ("model=[mlp, cnn]", "model=mlp,cnn with -m"),
        ("data=[digits]", r"Did you mean data=digits\?$"),
        ("loop=[]", r"Did you mean loop=default\?$"),
        ("experiment=[losses,gan]", r"Did you mean experiment=losses\?$"),
        ("debug=[eager]", r"Did you mean debug=eager\?$"),
        ("hydra/launcher=[workers]", r"Did you mean hydra/launcher=workers\?$"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_a_list_for_one_option_is_refused(override: str, told: str, multirun: bool) -> None:
    with pytest.raises(UserError, match=told):
        compose_jobs([override], None, multirun)


def test_groups_of_several_take_lists() -> None:
    (job,), _ = compose_jobs(["metric=[f1,auc]", "recorder=[mlflow]"], None, multirun=False)
    assert (list(job.config["metric"]), list(job.config["recorder"])) == (["f1", "auc"], ["mlflow"])


def test_a_preset_may_not_choose_a_list_either(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /act: [relu, tanh]\n"
    )
    with pytest.raises(UserError, match=r"act: a preset or a config chooses a list .*/act: relu"):
        compose_jobs(["experiment=mine"], str(tmp_path), multirun=False)
