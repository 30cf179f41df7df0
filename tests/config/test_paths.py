from pathlib import Path

import pytest

from expt.config.paths import expand_path
from expt.errors import UserError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a temporary folder the user's home and the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_home_is_expanded(home: Path) -> None:
    assert expand_path("~/a b/ö") == home / "a b/ö"
    assert expand_path("~") == home


@pytest.mark.parametrize("path", ["a/b", "/a", "b/~/a", "a~b", "."])
def test_other_paths_are_unchanged(path: str) -> None:
    assert expand_path(path) == expand_path(Path(path)) == Path(path)


def test_error_names_unknown_user() -> None:
    with pytest.raises(UserError, match=r"output_dir=~nobody-here/x: .*'nobody-here'.*\./~nobody"):
        expand_path("~nobody-here/x", "output_dir=")


def test_file_with_tilde_is_found(home: Path) -> None:
    (home / "~$table.csv").touch()
    assert expand_path("~$table.csv") == Path("~$table.csv")


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_empty_path_is_rejected(path: str) -> None:
    with pytest.raises(UserError, match=r"^output_dir=\s*: expected a path that is not empty"):
        expand_path(path, "output_dir=")
