import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.config.compose import compose_jobs
from expt.config.full_keys import is_list_key, suggest_group, suggest_key
from expt.errors import UserError

DEFAULT = tuple(compose_jobs([], None, multirun=False)[0][0].config.flat())


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("epochs", "loop.epochs"),
        ("epoch", "loop.epochs"),
        ("lr", "optimizer.learning_rate"),
        ("learning_rate", "optimizer.learning_rate"),
        ("learning-rate", "optimizer.learning_rate"),
        ("loop.lr", "optimizer.learning_rate"),
        ("batch_size", "data.batch_size"),
        ("units", "model.units"),
        ("steps", "loop.steps"),
        ("patience", "loop.patience"),
        ("workers", "sweep.workers"),
        ("activation", "act"),
        ("dataset", "data"),
        ("loop.seed", "seed"),
    ],
)
def test_short_key_is_completed(key: str, expected: str) -> None:
    assert suggest_key(key, "3", DEFAULT) == f"Did you mean {expected}=3?"
    assert suggest_key(key, None) == f"Did you mean {expected}=…?"


def test_key_of_other_options_is_suggested_with_them() -> None:
    message = "Did you mean model.width=3 with model=resnet, vit?"
    assert suggest_key("width", "3", DEFAULT) == message
    assert suggest_key("width", "3", ["model.width"]) == "Did you mean model.width=3?"


@pytest.mark.parametrize("key", ["nonsense", "defaults", "hydra", "", "seed", "_target_"])
def test_unknown_key_has_no_suggestion(key: str) -> None:
    assert suggest_key(key, "3", DEFAULT) is None


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([key for key in DEFAULT if "." in key and "_target_" not in key]))
def test_last_part_of_every_key_is_completed(key: str) -> None:
    last = key.partition(".")[2]
    if "." in last or last in (*DEFAULT, "min_change"):
        return  # nested, or a key of the top level
    assert f"{key}=1" in (suggest_key(last, "1", DEFAULT) or "")


def test_option_without_group_is_completed() -> None:
    assert suggest_group("tanh") == "Did you mean act=tanh?"
    assert suggest_group("linear") == "Did you mean act=linear or data=linear or model=linear?"
    assert suggest_group("nonsense") is None


def test_list_keys() -> None:
    assert is_list_key("model.units")
    assert is_list_key("data.ignore")
    assert not is_list_key("seed")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs=10"], "epochs=10: there is no key 'epochs' .* Did you mean loop.epochs=10?"),
        (
            ["probe.gradients.every=5"],
            r"the option 'gradients' is not chosen\. Add it with probe=\[gradients\]\.$",
        ),
        (["lr=0.1"], r"Did you mean optimizer\.learning_rate=0\.1\?$"),
        (["model.act=tanh"], r"Did you mean act=tanh\?$"),
        (["tanh"], r"'tanh' is not of the form key=value. Did you mean act=tanh\?$"),
        (
            ["nonsense"],
            r"'nonsense' is not of the form key=value. Expected, for example, act=tanh.$",
        ),
        (["act=relu,tanh"], r"act=relu,tanh: expected one value. Did you mean act=relu,tanh with "),
        (["model.units=8,4"], r"expected a list. Did you mean model\.units=\[8,4\], or .* with -m"),
        (["metric=f1,auc"], r"expected a list. Did you mean metric=\[f1,auc\], or .* with -m"),
        (["act=5"], r"act=5: expected one of the group's options: celu, .*, tanh\.$"),
    ],
)
def test_error_suggests_full_key(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_jobs(overrides, None, multirun=False)
