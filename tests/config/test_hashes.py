import copy
from typing import Any

import pytest

from expt.config.compose import compose_jobs
from expt.config.hashes import has_effect, run_hash, variant_hash
from expt.config.schema import Config

OVERRIDES = ["data=mnist", "model=cnn", "optimizer=momentum", "schedule=cosine"]
CONFIG = compose_jobs(OVERRIDES, None, multirun=False)[0][0].config
FLAT = CONFIG.flat()
WITHOUT_EFFECT = {
    "name",
    "doctor",
    *(f"sweep.{key}" for key in ("workers", "timeout", "max_failures", "reuse", "zip")),
    "output_dir",
    "data.path",
    "loop.image_every",
    "loop.save_every",
    "loop.keep_checkpoints",
    "loop.profile",
    "recorder.tensorboard._target_",
    "recorder.mlflow._target_",
    "recorder.mlflow.max_points",
    "sweeper._target_",
    "launcher._target_",
}

OTHER_MEMBERS = {
    "loop.compile": "eager",
    "loop.precision": "mixed_float16",
    "loop.direction": "max",
    "mode": "lr_finder",
}


def edited(key: str, value: object) -> Config:
    mapping = copy.deepcopy(CONFIG.to_mapping())
    *path, last = key.split(".")
    node: Any = mapping
    for name in path:
        node = node[name]
    node[last] = value
    return Config.from_mapping(mapping)


def test_keys_without_effect_exist() -> None:
    assert set(FLAT) >= WITHOUT_EFFECT


@pytest.mark.parametrize("key", sorted(WITHOUT_EFFECT))
def test_recording_keys_do_not_change_hash(key: str) -> None:
    config = edited(key, "changed")
    assert run_hash(config, "data", "code") == run_hash(CONFIG, "data", "code")
    assert variant_hash(config, "data", "code") == variant_hash(CONFIG, "data", "code")


def test_removed_recorder_does_not_change_hash() -> None:
    assert run_hash(edited("recorder", {}), "data", "code") == run_hash(CONFIG, "data", "code")


@pytest.mark.parametrize("key", sorted(FLAT.keys() - WITHOUT_EFFECT))
@pytest.mark.parametrize("value", ["changed", None, 7.5, [7]])
def test_other_keys_change_hash(key: str, value: object) -> None:
    if value is not None:
        value = OTHER_MEMBERS.get(key, value)
    config = edited(key, value)
    if FLAT[key] == value:
        return
    assert run_hash(config, "data", "code") != run_hash(CONFIG, "data", "code")
    is_seed = key == "seed"
    assert (variant_hash(config, "data", "code") == variant_hash(CONFIG, "data", "code")) is is_seed


@pytest.mark.parametrize("hash_of", [run_hash, variant_hash])
def test_data_content_changes_hash(hash_of: Any) -> None:
    assert hash_of(CONFIG, "data", "code") != hash_of(CONFIG, "other data", "code")


@pytest.mark.parametrize("hash_of", [run_hash, variant_hash])
def test_code_changes_hash(hash_of: Any) -> None:
    assert hash_of(CONFIG, "data", "code") != hash_of(CONFIG, "data", "other code")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("act._initializer_=zeros", "_initializer_"),
        ("metric.accuracy._direction_=min", "_direction_"),
        ("loss._predicts_=sigmoid", "_predicts_"),
        ("+model._task_=reconstruction", "_task_"),
        ("+model._step_=expt.train.learners.supervised.Reconstruction", "_step_"),
        ("+loss._targets_=[0,1]", "_targets_"),
    ],
)
def test_declarations_change_hash(override: str, key: str) -> None:
    """Declarations affect, for example, the initial weights and the choice of the best model."""
    ((one,), _), ((other,), _) = (
        compose_jobs(overrides, None, multirun=False) for overrides in ([], [override])
    )
    assert key in override
    assert run_hash(one.config, "data", "code") != run_hash(other.config, "data", "code")


def test_keys_with_same_prefix_change_hash() -> None:
    for key in ("data.paths", "data.path_", "model.seed"):
        assert run_hash(edited(key, 1), "data", "code") != run_hash(CONFIG, "data", "code")


def in_reverse(value: Any) -> Any:
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def test_order_of_keys_does_not_change_hash() -> None:
    mapping = {key: in_reverse(value) for key, value in in_reverse(CONFIG.to_mapping()).items()}
    assert list(mapping["model"]) != list(CONFIG.model)
    config = Config.from_mapping(mapping)
    assert run_hash(config, "data", "code") == run_hash(CONFIG, "data", "code")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(("name", False), ("recorder.mlflow", False), ("loop.image_every", False)),
        *(("names", True), ("loop.epochs", True), ("data.path", False), ("data.paths", True)),
        *(("recorders", True), ("output_directory", True)),
    ],
)
def test_has_effect(key: str, expected: bool) -> None:
    assert has_effect(key) is expected


def test_run_hash_and_variant_hash_differ() -> None:
    assert run_hash(CONFIG, "data", "code") != variant_hash(CONFIG, "data", "code")
