import pytest
import yaml

from expt.config.compose import Composition
from expt.config.display import show
from expt.errors import UserError


def shown(
    *overrides: str,
    multirun: bool = False,
    kind: str = "job",
    package: str | None = None,
    resolve: bool = False,
) -> list[str]:
    composition = Composition(overrides, None, multirun)
    return "\n".join(show(composition, kind, package, resolve=resolve)).splitlines()


def test_run_is_shown_as_yaml() -> None:
    config = yaml.safe_load("\n".join(shown("act=tanh", "seed=3")))
    assert (config["seed"], config["act"]["activation"]) == (3, "tanh")
    assert "hydra" not in config


def test_sweep_shows_jobs_first_config_and_differences() -> None:
    lines = shown("act=relu,tanh", "seed=0,1", "loop.epochs=5", multirun=True)
    assert lines[:5] == [
        "# 4 jobs",
        "# job 0: act=relu seed=0 loop.epochs=5",
        "# job 1: act=relu seed=1 loop.epochs=5",
        "# job 2: act=tanh seed=0 loop.epochs=5",
        "# job 3: act=tanh seed=1 loop.epochs=5",
    ]
    first, *others = yaml.safe_load_all("\n".join(lines))
    assert (first["seed"], first["loop"]["epochs"], first["loss"]["class_weights"]) == (0, 5, None)
    tanh = {"_target_": "keras.layers.Activation", "activation": "tanh"}
    tanh["_initializer_"] = "glorot_uniform"
    assert others == [{"seed": 1}, {"act": tanh}, {"seed": 1, "act": tanh}]
    assert "# job 3: act=tanh seed=1 loop.epochs=5; differences from job 0" in lines


def test_package_is_shown_alone() -> None:
    lines = shown("model.units=[4],[8]", "seed=0,1", multirun=True, package="model")
    assert lines[5:7] == ["# @package model", "_target_: expt.parts.models.dense.mlp"]
    first, *others = yaml.safe_load_all("\n".join(lines))
    assert (first["units"], others) == ([4], [{"units": [8]}, {"units": [8]}])  # job 1 is equal
    assert shown("seed=7", package="seed") == ["7"]
    assert shown("seed=7", package="_global_") == shown("seed=7")


@pytest.mark.parametrize(
    ("package", "message"),
    [("lop", "--package lop: .*'loop'"), ("loop.epoch", "no key 'epoch' in 'loop'.*'epochs'")],
)
def test_unknown_package_is_rejected(package: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        shown("act=relu,tanh", multirun=True, package=package)


def test_keys_of_first_job_only_are_shown_as_null() -> None:
    lines = shown("model=mlp,linear", multirun=True, package="model")
    *_, other = yaml.safe_load_all("\n".join(lines))
    assert other["_target_"].endswith("linear")
    assert (other["units"], other["dropout"]) == (None, None)


def test_hydra_node_is_shown_once() -> None:
    lines = shown("act=relu,tanh", multirun=True, kind="hydra")
    (config,) = yaml.safe_load_all("\n".join(lines))
    assert list(config) == ["hydra"]
    assert config["hydra"]["mode"] == "MULTIRUN"
    assert "help" not in config["hydra"]
    assert lines[:3] == ["# 2 jobs", "# job 0: act=relu", "# job 1: act=tanh"]
    whole, other = yaml.safe_load_all("\n".join(shown("seed=0,1", multirun=True, kind="all")))
    assert (list(whole)[:2], other) == (["hydra", "name"], {"seed": 1})


def test_interpolations_are_resolved_on_request() -> None:
    given = ("name=${output_dir}-x", "output_dir=here")
    assert yaml.safe_load("\n".join(shown(*given)))["name"] == "${output_dir}-x"
    assert yaml.safe_load("\n".join(shown(*given, resolve=True)))["name"] == "here-x"
