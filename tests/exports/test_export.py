"""Paths of exports; tests/e2e tests the command."""

from pathlib import Path

import pytest

from expt.errors import UserError
from expt.exports.export import FORMATS, choose_path
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord


@pytest.fixture
def run(tmp_path: Path) -> FoundRun:
    return FoundRun(tmp_path / "run", RunRecord(), tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_previous_export_is_overwritten_only_by_force(
    run: FoundRun, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "there"
    assert choose_path(run, name, str(path), force=False) == path
    if name == "saved_model":
        path.mkdir()
        (path / "saved_model.pb").write_text("")
    else:
        path.write_text("")
    with pytest.raises(UserError, match=r"exists already\. .* with --force\.$"):
        choose_path(run, name, str(path), force=False)
    assert choose_path(run, name, str(path), force=True) == path
    assert choose_path(run, name, None, force=False) == run.directory / "exports" / FORMATS[name]


@pytest.mark.parametrize("name", FORMATS)
def test_folder_that_is_no_export_is_not_overwritten(
    run: FoundRun, tmp_path: Path, name: str
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    with pytest.raises(UserError, match=f"not a previous {name} export, and is not overwritten"):
        choose_path(run, name, str(tmp_path / "thesis"), force=True)
