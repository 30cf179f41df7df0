import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from expt.config.constructors import read_constructor, without_type_and_default
from expt.config.type_names import type_name

_MODULE = '''
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from enum import StrEnum

raise RuntimeError("imported")

if TYPE_CHECKING:
    Alias = Literal["a", "b"] | None


class Kind(StrEnum):
    one = "first"
    two = "second"


@dataclass
class Base:
    """Anything.

    Attributes:
        count: Of the base.
        shared: Of the base.
    """

    count: int
    shared: str = ""


@dataclass
class Part(Base):
    """A part
    in two lines.

    More.

    Attributes:
        shared: Its own,
            longer.
        alias (str): None or `a`.
    """

    alias: Alias = None
    kind: Kind = Kind.one
    sizes: Sequence[int] | None = None
    nested: "Mapping[str, Any]" = None
    pair: tuple[float, ...] = ()


class Plain:
    """A class."""

    def __init__(self, *, width: float | int = 1.0, rest: object = None) -> None:
        """Makes one.

        Args:
            width: Of it.

        Raises:
            width: Not a meaning.
        """
'''


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "read_only_part.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_dataclass_with_a_base_is_read_without_an_import() -> None:
    found = read_constructor("read_only_part.Part")
    assert found is not None
    assert (found.summary, found.is_of_library) == ("A part in two lines.", False)
    meanings = {name: argument.meaning for name, argument in found.arguments.items()}
    assert meanings["shared"] == "Its own, longer."
    assert meanings["count"] == "Of the base."
    assert meanings["alias"] == "None or `a`."
    assert "read_only_part" not in sys.modules


@pytest.mark.parametrize(
    ("name", "default", "expected"),
    [
        ("count", 1, "int"),
        ("shared", "", "str"),
        ("alias", "a", "`a`, `b` or null"),
        ("kind", "first", "`first` or `second`"),
        ("sizes", [1], "list of int or null"),
        ("nested", {}, "mapping"),
        ("nested", None, "mapping or null"),
        ("pair", [], "list of float"),
    ],
)
def test_types(name: str, default: Any, expected: str) -> None:
    found = read_constructor("read_only_part.Part")
    assert found is not None
    assert type_name(found.arguments[name], default) == expected


def test_the_constructor_of_a_class() -> None:
    found = read_constructor("read_only_part.Plain")
    assert found is not None
    assert found.arguments["width"].meaning == "Of it."
    assert type_name(found.arguments["width"], 1.0) == "float or int"
    assert type_name(found.arguments["rest"], None) == "any"


@pytest.mark.parametrize("target", ["", "name", "nowhere.name", "read_only_part.nothing", "???"])
def test_a_target_without_source(target: str) -> None:
    assert read_constructor(target) is None


def test_keras_is_read_without_an_import() -> None:
    code = (
        "import sys\nfrom expt.config.constructors import read_constructor\n"
        "found = read_constructor('keras.optimizers.Adam')\n"
        "print('keras' in sys.modules, found.is_of_library, *found.arguments, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    is_imported, is_of_library, *names = done.stdout.splitlines()
    assert (is_imported, is_of_library) == ("False", "True")
    assert {*inspect.signature(keras.optimizers.Adam.__init__).parameters} - {"self", "kwargs"} <= {
        *names
    }


def test_keras_common_arguments_are_those_of_its_docstring() -> None:
    """In its source they are a placeholder."""
    found = read_constructor("keras.optimizers.Adam")
    assert found is not None
    assert keras.optimizers.Adam.__doc__ is not None
    documented = " ".join(keras.optimizers.Adam.__doc__.split())
    for name in ("learning_rate", "clipnorm", "ema_momentum"):
        assert f"{name}: {found.arguments[name].meaning}" in documented


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "A float, a `keras.x.Y` instance, or a callable. The learning rate. Defaults to `0.1`.",
            "The learning rate.",
        ),
        ("Float >= 0.0. Negative slope coefficient.", "Negative slope coefficient."),
        ("Boolean, whether to use it", "Whether to use it"),
        ("Float, defaults to 0.9. Discounting factor.", "Discounting factor."),
        ("Boolean. Whether to.", "Whether to."),
        ("A small constant.", "A small constant."),
        ("Float.", "Float."),
        ("", ""),
    ],
)
def test_entries_of_keras_lose_type_and_default(entry: str, expected: str) -> None:
    assert without_type_and_default(entry) == expected
