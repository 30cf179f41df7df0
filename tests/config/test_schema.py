from dataclasses import fields
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from expt.config.location import config_directory
from expt.config.schema import Compile, Config, Direction, Loop, Mode, Precision


def test_schema_has_keys_of_config_yaml() -> None:
    contents = yaml.safe_load((config_directory() / "config.yaml").read_text(encoding="utf-8"))
    groups = {name for entry in contents["defaults"] if isinstance(entry, dict) for name in entry}
    groups -= {name for name in groups if name.startswith("override hydra/")}
    keys = set(contents) - {"defaults", "hydra"}
    # Options of experiment and debug change the nodes of other groups, and have none themselves.
    assert {field.name for field in fields(Config)} == (groups - {"experiment", "debug"}) | keys


def test_compile_modes_are_as_documented() -> None:
    assert [mode.value for mode in Compile] == ["auto", "graph", "xla", "eager"]
    assert all(mode.name == mode.value for mode in Compile)


def test_precisions_directions_and_modes_are_as_documented() -> None:
    assert [kind.value for kind in Precision] == ["float32", "mixed_float16", "mixed_bfloat16"]
    assert [way.value for way in Direction] == ["min", "max"]
    assert [mode.value for mode in Mode] == ["train", "lr_finder", "gradients", "schedule"]
    assert [mode.value for mode in Mode if mode.trains] == ["train", "lr_finder"]
    assert all(kind.name == kind.value for kind in (*Precision, *Direction, *Mode))


def test_loop_has_keys_of_yaml() -> None:
    path = config_directory() / "loop" / "default.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {field.name for field in fields(Loop)} == set(values)


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("epochs", 3),
        ("steps", None),
        ("steps", 5),
        ("compile", "xla"),
        ("eval_every", "1ep"),
        ("eval_every", 500),
        ("image_every", None),
        ("batches", None),
        ("batches", 3),
        ("precision", "mixed_float16"),
        ("watch", None),
        ("watch", "val/accuracy"),
        ("direction", None),
        ("direction", "max"),
        ("patience", None),
        ("patience", 5),
        ("min_change", 0),
        ("min_change", 1e-4),
        ("time_limit", None),
        ("time_limit", "10min"),
        ("time_limit", 1.5),
        ("target_loss", None),
        ("target_loss", 0.25),
        ("profile", None),
        ("profile", 10),
    ],
)
def test_loop_accepts(key: str, good: object) -> None:
    assert OmegaConf.merge(OmegaConf.structured(Loop), {key: good}) is not None


@pytest.mark.parametrize(
    ("schema", "bad"),
    [
        (Loop, {"epochs": None}),
        (Loop, {"epochs": "many"}),
        (Loop, {"steps": 1.5}),
        (Loop, {"compile": "fast"}),
        (Loop, {"epoch": 1}),
        (Loop, {"batches": "few"}),
        (Loop, {"batches": 1.5}),
        (Loop, {"precision": "float64"}),
        (Loop, {"precision": None}),
        (Loop, {"compile": None}),
        (Loop, {"watch": ["val/loss"]}),
        (Loop, {"direction": "up"}),
        (Loop, {"patience": 1.5}),
        (Loop, {"patience": "long"}),
        (Loop, {"min_change": None}),
        (Loop, {"min_change": "small"}),
        (Loop, {"target_loss": "low"}),
        (Loop, {"profile": 0.5}),
        (Config, {"seed": 0.5}),
        (Config, {"seed": None}),
        (Config, {"sede": 1}),
        (Config, {"loop": {"epoch": 1}}),
        (Config, {"recorder": 3}),
    ],
)
def test_wrong_type_or_key_is_rejected(schema: Any, bad: dict[str, object]) -> None:
    with pytest.raises(OmegaConfBaseException):
        OmegaConf.merge(OmegaConf.structured(schema), bad)
