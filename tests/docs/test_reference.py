"""The reference pages cover `conf/` and the commands; the written ones, files and exit codes."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Command
from docs.pages_of_docs import ROOT
from docs.reference_of_docs import reference_pages, script
from expt.cli import COMMANDS
from expt.config.groups import groups
from expt.config.hydra_flags import REFUSED_FLAGS, make_run_parser
from expt.config.location import options
from expt.config.reference import read_group, read_top_level
from expt.record import exits


def test_every_group_has_a_page_and_every_option_a_section() -> None:
    pages = reference_pages()
    assert pages.keys() == {"index.md", "commands.md", *(f"{name}.md" for name in groups())}
    for group in groups():
        found = re.findall(r"^## (\S+)$", pages[f"{group}.md"], re.MULTILINE)
        assert found == options(group)


@pytest.mark.parametrize("group", groups())
def test_every_key_has_a_row_with_type_default_and_meaning(group: str) -> None:
    sections = re.split(r"^## (\S+)$", reference_pages()[f"{group}.md"], flags=re.MULTILINE)[1:]
    texts = dict(zip(sections[::2], sections[1::2], strict=True))
    for option in read_group(group).options:
        rows = list(_rows(texts[option.name]))
        assert [row[0] for row in rows] == [
            *(f"`{key}`" for key in option.sets),
            *(f"`{option.node}.{key.name}`" for key in option.keys),
        ]
        assert all(row[1] for row in rows)


def test_top_level_keys_have_a_row() -> None:
    names = [row[0] for row in _rows(reference_pages()["index.md"])]
    assert [f"`{key.name}`" for key in read_top_level()] == [n for n in names if n[0] == "`"]


def _rows(text: str) -> Iterator[list[str]]:
    """Yields the cells of the rows of all tables."""
    is_body = False
    for line in text.splitlines():
        is_row = line.startswith("| ")
        if is_row and is_body:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        is_body = is_row and (is_body or line.startswith("| ---"))


def test_every_command_has_its_help() -> None:
    sections = re.split(r"^## (\S+)$", reference_pages()["commands.md"], flags=re.MULTILINE)[1:]
    texts = dict(zip(sections[::2], sections[1::2], strict=True))
    assert texts.keys() == COMMANDS.keys()
    for name in COMMANDS.keys() - {"run"}:
        assert f"usage: python -m expt.{name} " in texts[name]
        assert "--help" in texts[name]


def test_the_flags_of_run_are_those_of_its_parser() -> None:
    taken = {
        tuple(action.option_strings)
        for action in make_run_parser("run")._actions  # argparse has no public list of them
        if action.option_strings and action.dest not in REFUSED_FLAGS
    }
    shown = {tuple(re.findall(r"--?[a-z-]+", flag)) for flag in script()["RUN_FLAGS"]}
    assert {frozenset(one) for one in shown} == {frozenset(one) for one in taken}


def _table(page: str, heading: str) -> dict[str, str]:
    """Returns the first two columns of the table below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text, flags=re.MULTILINE)
    (found,) = (part for part in section if part.startswith(f"{heading}\n"))
    rows = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", found, re.MULTILINE)][1:]
    return {row[0]: row[1] for row in rows}


def test_exit_codes_are_those_in_the_source() -> None:
    """The end-to-end tests see each of them."""
    found = {0}
    for node in ast.walk(ast.parse(inspect.getsource(exits))):
        is_exit = isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit"
        if is_exit or (isinstance(node, ast.FunctionDef) and node.name == "exit_code"):
            constants = (one for one in ast.walk(node) if isinstance(one, ast.Constant))
            found |= {one.value for one in constants if type(one.value) is int}
    assert [*map(int, _table("exit-codes.md", "Exit codes"))] == sorted(found)


def test_files_of_a_run(run_command: Command, tmp_path: Path) -> None:
    done = run_command("loop.epochs=1", folder=tmp_path)
    assert done.code == 0, done.error
    run = next(tmp_path.glob("outputs/runs/*/*"))
    found = {f"`{path.name}/`" if path.is_dir() else f"`{path.name}`" for path in run.iterdir()}
    # Hidden files are locks. The others arise by other commands, or in a working tree of git.
    found -= {"`.lock`"}
    page = {*_table("files.md", "A run")}
    assert found <= page
    assert page - found <= {"`git.diff`", "`evaluations/`", "`exports/`"}
    store = {path.name for path in (tmp_path / "outputs").iterdir() if path.name[0] != "."}
    assert {f"{name}/" if name == "mlartifacts" else name for name in store - {"runs"}} <= {
        name.strip("`") for name in _table("files.md", "Files of a run")
    }
