from pathlib import Path

import pytest

from expt.command import take_options
from expt.errors import UserError


def test_options_are_separated_from_overrides() -> None:
    taken = take_options(["split=val", "data.path=x", "split"], {"split": "test", "to": "x"})
    assert taken == ({"split": "val", "to": "x"}, ["data.path=x", "split"])


@pytest.mark.parametrize(
    ("typed", "folder"),
    [
        ("a b", "a b"),
        ("'a b'", "a b"),
        ('"it\'s"', "it's"),
        ("Läufe=1,[2]", "Läufe=1,[2]"),
        ("~/x", "HOME/x"),
        ("'~/x y'", "HOME/x y"),
    ],
)
def test_a_folder_is_read_as_in_a_config(
    typed: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options, _ = take_options([f"output_dir={typed}"], {"output_dir": "outputs"})
    assert options["output_dir"] == folder.replace("HOME", str(tmp_path))


def test_a_folder_below_an_unknown_home_is_refused() -> None:
    with pytest.raises(UserError, match="output_dir=~nobody-here/x: there is no user"):
        take_options(["output_dir=~nobody-here/x"], {"output_dir": "outputs"})


@pytest.mark.parametrize("typed", ["", " ", "''", "null", "NULL"])
def test_no_folder_is_refused(typed: str) -> None:
    with pytest.raises(UserError, match=r"output_dir=.*: expected"):
        take_options([f"output_dir={typed}"], {"output_dir": "outputs"})
