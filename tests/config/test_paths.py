from pathlib import Path

import pytest

from expt.config.paths import expanded
from expt.errors import UserError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, and the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_home_is_expanded(home: Path) -> None:
    assert expanded("~/a b/ö") == home / "a b/ö"
    assert expanded("~") == home


@pytest.mark.parametrize("path", ["a/b", "/a", "b/~/a", "a~b", "."])
def test_other_paths_stay(path: str) -> None:
    assert expanded(path) == expanded(Path(path)) == Path(path)


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(UserError, match=r"output_dir=~nobody-here/x: .*'nobody-here'.*\./~nobody"):
        expanded("~nobody-here/x", "output_dir=")


def test_a_file_whose_name_begins_so_is_found(home: Path) -> None:
    (home / "~$table.csv").touch()
    assert expanded("~$table.csv") == Path("~$table.csv")


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_an_empty_path_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"^output_dir=\s*: expected a path that is not empty"):
        expanded(path, "output_dir=")
