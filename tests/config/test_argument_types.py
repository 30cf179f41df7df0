import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from expt.config.argument_types import check_argument_types
from expt.errors import UserError

CODE = """
from collections.abc import Sequence
from typing import Any, Optional

def loss(targets, outputs, *, gamma: float, steps: "int | None" = None, on: bool = True,
         name: str = "a", units: Sequence[int] = (), pair: tuple[float, ...] = (),
         either: float | str = 1.0, maybe: Optional[int] = None, free: Any = 1, bare=1,
         unset: float = None): ...
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "typed_parts.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EXPT_ALLOW", "typed_parts")
    yield
    sys.modules.pop("typed_parts", None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gamma", "abc", "loss.gamma=abc: expected a number."),
        ("gamma", None, "loss.gamma=null: expected a number."),
        ("name", None, "loss.name=null: expected text."),
        ("gamma", True, "loss.gamma=true: expected a number."),
        ("steps", 1.5, "loss.steps=1.5: expected a whole number or null."),
        ("on", 1, "loss.on=1: expected true or false."),
        ("name", 5, "loss.name=5: expected text. Quote it: 'loss.name=\"5\"'"),
        ("units", [1, 2.5], "loss.units=[1,2.5]: expected a list of whole numbers."),
        ("units", 3, "loss.units=3: expected a list of whole numbers."),
        ("pair", ["a"], "loss.pair=[a]: expected a list of numbers."),
        ("either", [1], "loss.either=[1]: expected a number or text."),
        ("maybe", "x", "loss.maybe=x: expected a whole number or null."),
    ],
)
def test_value_of_another_type_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        check_argument_types({"_target_": "typed_parts.loss", key: value}, "loss")
    assert str(error.value) == message


def test_values_of_the_type_and_of_other_annotations_are_accepted() -> None:
    node = {
        "_target_": "typed_parts.loss",
        "gamma": 2,
        "steps": None,
        "on": False,
        "name": "b",
        "units": [1, 2],
        "pair": [1, 0.5],
        "either": "x",
        "maybe": 3,
        "free": {},
        "bare": None,
        "unset": None,
        "every": "1ep",
        "_tasks_": ["regression"],
    }
    check_argument_types(node, "loss")
    check_argument_types({**node, "gamma": {"_target_": "typed_parts.loss"}}, "loss")
    check_argument_types({"_target_": "keras.layers.ReLU", "max_value": "x"}, "act")


def test_synthetic_data_is_checked() -> None:
    node = {"_target_": "expt.parts.data.synthetic.Linear", "noise": "abc"}
    with pytest.raises(UserError, match=r"^data\.noise=abc: expected a number\.$"):
        check_argument_types(node, "data")
