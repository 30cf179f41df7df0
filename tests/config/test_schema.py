from dataclasses import fields
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from expt.config.location import config_directory
from expt.config.schema import Compile, Config, Loop


def test_it_has_exactly_the_keys_of_the_table_of_contents() -> None:
    contents = yaml.safe_load((config_directory() / "config.yaml").read_text(encoding="utf-8"))
    groups = {name for entry in contents["defaults"] if isinstance(entry, dict) for name in entry}
    keys = set(contents) - {"defaults", "hydra"}
    assert {field.name for field in fields(Config)} == groups | keys


def test_the_ways_to_compile_are_the_documented_ones() -> None:
    assert [mode.value for mode in Compile] == ["graph", "xla", "eager"]
    assert all(mode.name == mode.value for mode in Compile)


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
    ],
)
def test_a_loop_takes(key: str, good: object) -> None:
    assert OmegaConf.merge(OmegaConf.structured(Loop), {key: good}) is not None


@pytest.mark.parametrize(
    ("schema", "bad"),
    [
        (Loop, {"epochs": None}),
        (Loop, {"epochs": "many"}),
        (Loop, {"steps": 1.5}),
        (Loop, {"compile": "fast"}),
        (Loop, {"epoch": 1}),
        (Config, {"seed": 0.5}),
        (Config, {"seed": None}),
        (Config, {"sede": 1}),
        (Config, {"loop": {"epoch": 1}}),
        (Config, {"recorder": 3}),
    ],
)
def test_a_wrong_type_or_key_is_refused(schema: Any, bad: dict[str, object]) -> None:
    with pytest.raises(OmegaConfBaseException):
        OmegaConf.merge(OmegaConf.structured(schema), bad)
