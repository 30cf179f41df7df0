"""The reference covers each file and key of `conf/`, and each has a meaning."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from expt.config.groups import groups
from expt.config.location import config_directory
from expt.config.reference import Option, first_sentence, read_group, read_option, read_top_level

_FILES = sorted(config_directory().glob("*/*.yaml"))
_GROUPS = [read_group(name) for name in groups()]
_OPTIONS = [option for group in _GROUPS for option in group.options]


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if not key.startswith("_"):
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from _keys(value, f"{prefix}{key}.")


def test_every_file_is_an_option() -> None:
    assert [(one.group, one.name) for one in _OPTIONS] == [(f.parent.name, f.stem) for f in _FILES]


@pytest.mark.parametrize("option", _OPTIONS, ids=lambda option: f"{option.group}={option.name}")
def test_every_key_is_covered(option: Option) -> None:
    file = config_directory() / option.group / f"{option.name}.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    names = {key.name for key in option.keys}
    if option.group not in ("experiment", "debug"):
        assert names == set(_keys(values))
        return
    assert names == set()
    for entry in values.pop("defaults", []):
        for group, chosen in entry.items():
            assert option.sets[group.removeprefix("override /")] == yaml.safe_dump(
                chosen, default_flow_style=True
            ).removesuffix("\n").removesuffix("\n...")
    shown = {parent for name in option.sets for parent in _parents(name)}
    assert set(_keys(values)) <= shown


def _parents(key: str) -> Iterator[str]:
    """Yields a full key and those of the mappings that hold it."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def test_top_level_keys_are_covered() -> None:
    values = yaml.safe_load((config_directory() / "config.yaml").read_text(encoding="utf-8"))
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    assert [key.name for key in read_top_level()] == [*_keys(own)]


def test_everything_has_a_meaning() -> None:
    missing = [group.name for group in _GROUPS if not group.meaning]
    missing += [f"{one.group}={one.name}" for one in _OPTIONS if not one.meaning]
    missing += [
        f"{option.group}/{option.name}.yaml {key.name}"
        for option in _OPTIONS
        for key in option.keys
        if not key.meaning
    ]
    missing += [key.name for key in read_top_level() if not key.meaning]
    assert missing == []


def test_first_sentences_fit_on_a_few_lines_of_help() -> None:
    meanings = {
        f"{option.group}={option.name} {key.name}": first_sentence(key.meaning)
        for option in _OPTIONS
        for key in option.keys
    }
    assert {name: text for name, text in meanings.items() if len(text) > 240} == {}


@pytest.mark.parametrize(
    ("group", "option", "name", "kind", "default", "meaning"),
    [
        ("model", "cnn", "filters", "list of int", "[32, 64]", "channels of each stage"),
        ("data", "csv", "missing", "`error`, `drop` or `impute`", "error", "`error` refuses"),
        (
            "data",
            "csv",
            "task",
            "`classification`, `regression` or null",
            "null",
            "few distinct integers",
        ),
        ("data", "digits", "augment.flip", "bool", "false", "mirrored"),
        ("loop", "default", "compile", "`auto`, `graph`, `xla` or `eager`", "auto", "auto"),
        ("loop", "default", "eval_every", "int, str or null", "1ep", "validation"),
        ("optimizer", "adam", "clipnorm", "float or null", "null", "norm"),
        ("optimizer", "adam", "gradient_accumulation_steps", "int or null", "null", "Batches"),
        ("schedule", "cosine", "total_steps", "int or null", "null", "steps"),
        ("hook", "weight_norm", "every", "int, str or null", "1ep", "epochs"),
        ("act", "prelu", "alpha_initializer.value", "float", "0.25", "slope"),
    ],
)
def test_a_key(group: str, option: str, name: str, kind: str, default: str, meaning: str) -> None:
    (found,) = (
        key
        for one in _OPTIONS
        if (one.group, one.name) == (group, option)
        for key in one.keys
        if key.name == name
    )
    assert (found.type, found.default) == (kind, default)
    assert meaning.lower() in found.meaning.lower()


def test_defaults_are_those_of_the_defaults_list() -> None:
    defaults = {group.name: group.default for group in _GROUPS}
    assert defaults["model"] == ("mlp",)
    assert defaults["recorder"] == ("tensorboard", "mlflow")
    assert defaults["hook"] == defaults["experiment"] == ()


def test_options_of_a_folder_of_the_users_come_first(tmp_path: Path) -> None:
    (tmp_path / "act").mkdir()
    (tmp_path / "act/relu.yaml").write_text("# Mine.\n_target_: keras.layers.ReLU\n")
    group = read_group("act", [tmp_path, config_directory()])
    names = [option.name for option in group.options]
    assert names == sorted(names)
    assert {"relu", "tanh"} <= {*names}
    assert next(o.meaning for o in group.options if o.name == "relu") == "Mine."


def test_a_users_part_is_read_without_being_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_losses.py").write_text(
        "def robust(targets, outputs, *, q: float | None = 0.7):\n"
        '    """A loss.\n\n    Args:\n        q: None is no power.\n    """\n'
    )
    (tmp_path / "robust.yaml").write_text("_target_: my_losses.robust\nq: 0.7\nwidth: 3 # mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    option = read_option("loss", tmp_path / "robust.yaml")
    assert (option.meaning, option.node) == ("A loss.", "loss")
    assert [(key.name, key.type, key.meaning) for key in option.keys] == [
        ("q", "float or null", "null is no power."),
        ("width", "int", "mine"),
    ]
