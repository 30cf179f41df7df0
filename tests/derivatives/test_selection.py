from pathlib import Path

import pytest

from expt.config.location import options
from expt.derivatives.selection import GROUPS, select_jobs
from expt.errors import UserError


def test_everything_is_selected_without_arguments() -> None:
    jobs = select_jobs([], None)
    assert {group: sorted(found) for group, found in jobs.items()} == {
        group: options(group) for group in GROUPS
    }
    assert jobs["optimizer"]["sgd"].config.optimizer["learning_rate"] == 0.1


def test_only_named_groups_are_selected() -> None:
    jobs = select_jobs(["act=tanh,relu,tanh", "loss=all"], None)
    assert {group: list(found) for group, found in jobs.items()} == {
        "act": ["tanh", "relu"],
        "loss": options("loss"),
    }


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("act=rleu", r"act=rleu: there is no such option\. Did you mean 'relu'\?"),
        ("loss=", r"loss=: there is no such option\. Valid: "),
        ("acts=relu", r"acts=relu: expected GROUP=NAME,… Did you mean 'act'\?"),
        ("optimizer", r"optimizer: expected optimizer=NAME,… or optimizer=all"),
    ],
)
def test_mistakes(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        select_jobs([argument], None)


def test_options_of_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "act"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "_target_: keras.layers.ReLU\nmax_value: ${loop.epochs}\n_initializer_: he_normal\n"
    )
    (folder / "forbidden.yaml").write_text("_target_: os.system\n")
    job = select_jobs(["act=mine"], str(tmp_path))["act"]["mine"]
    assert job.config.act["max_value"] == job.config.loop.epochs
    with pytest.raises(UserError, match=r"act=forbidden\._target_=os\.system: not allowed"):
        select_jobs(["act=forbidden"], str(tmp_path))
