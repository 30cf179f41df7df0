"""Every command on every page runs, and prints what the page shows."""

import re
from pathlib import Path

import pytest

from docs.output import first_missing_line, is_shown
from docs.page import RunCommand, WriteFile, read_steps
from docs.pages_of_docs import page_id, written_pages
from docs.shell import Shell


@pytest.mark.parametrize("page", written_pages(), ids=page_id)
def test_every_command_of_a_page(page: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for step in read_steps(page):
        place = f"{page.name}:{step.line}"
        if isinstance(step, WriteFile):
            file = shell.folder / step.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step.text, encoding="utf-8")
            continue
        done = shell.run(step.command)
        printed = f"$ {step.command}\n{done.text}"
        assert done.code == step.code, f"{place}: exit code {done.code}:\n{printed}"
        assert _is_as_shown(step, done.text), (
            f"{place}: expected {first_missing_line(step.shown, done.text)!r} in:\n{printed}"
        )


def _is_as_shown(step: RunCommand, printed: str) -> bool:
    return not step.shown or is_shown(step.shown, printed)


@pytest.mark.parametrize("page", written_pages(), ids=page_id)
def test_no_command_is_hidden_in_an_indented_block(page: Path) -> None:
    """It would be one that no test runs."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.match(r" {4,}(\$ |python -m |expt )", line)] == []
