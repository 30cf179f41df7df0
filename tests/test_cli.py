import importlib
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import expt
from expt import cli
from expt.cli import program
from expt.config.flags import split_options
from expt.errors import UserError


def call(arguments: list[str], started: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a command line and returns its exit code."""
    monkeypatch.setattr(cli, "run_command", lambda answer: sys.exit(_code(answer)))
    monkeypatch.setattr(sys, "argv", [started, *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _code(answer: Callable[[list[str]], int]) -> int:
    try:
        return answer(sys.argv[1:])
    except expt.errors.UserError as error:
        print(error, file=sys.stderr)
        return 2


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_all_commands(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments, "/venv/bin/expt", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: expt COMMAND [ARGUMENTS]"
    for name, text in cli.COMMANDS.items():
        assert f"  {name:<10}  {text}" in lines
    assert max(map(len, lines)) <= 80


def test_commands_are_modules_and_are_listed() -> None:
    folder = Path(expt.__file__).parent
    commands = {
        file.stem for file in folder.glob("*.py") if "run_command(_run)" in file.read_text()
    }
    assert commands - {"cli"} == cli.COMMANDS.keys()
    assert all(find_spec(f"expt.{name}") for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("typed", "near"),
    [("rnu", "'run'"), ("compar", "'compare'"), ("train", None), ("act=relu", None)],
)
def test_unknown_command_is_rejected(
    typed: str,
    near: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call([typed], "expt", monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{typed}: there is no such command. ")
    assert ("Did you mean" in message) == (near is not None)
    assert near is None or f"Did you mean {near}?" in message


def test_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["--version"], "expt", monkeypatch) == 0
    assert capsys.readouterr().out == f"expt {expt.__version__}\n"


@pytest.mark.parametrize(
    ("started", "expected"),
    [("/venv/bin/expt", "expt list"), ("/site/expt/__main__.py", "python -m expt list")],
)
def test_command_gets_arguments_and_name(
    started: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from expt import list as command

    monkeypatch.setattr(command, "run_command", lambda run: sys.exit(run(sys.argv[1:])))
    assert call(["list", "--help"], started, monkeypatch) == 0
    assert capsys.readouterr().out.startswith(f"usage: {expected} [-h]")


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        *(("/bin/expt", "expt run"), ("C:/bin/expt.exe", "expt run")),
        *(("/site/expt/__main__.py", "python -m expt run"), ("/run.py", "python -m expt.run")),
    ],
)
def test_program_is_name_of_call(
    started: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started, "x"])
    assert program("run") == expected


def test_console_script_exists() -> None:
    content = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    (name, place), *others = content["project"]["scripts"].items()
    module, _, function = place.partition(":")
    assert (name, others) == ("expt", [])
    assert getattr(importlib.import_module(module), function) is cli.main
    assert content["project"]["version"] == expt.__version__


def test_options_are_separated_from_overrides() -> None:
    taken = split_options(["split=val", "data.path=x", "split"], {"split": "test", "to": "x"})
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
def test_output_dir_is_read_as_in_config(
    typed: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options, _ = split_options([f"output_dir={typed}"], {"output_dir": "outputs"})
    assert options["output_dir"] == folder.replace("HOME", str(tmp_path))


def test_output_dir_of_unknown_user_is_rejected() -> None:
    with pytest.raises(UserError, match="output_dir=~nobody-here/x: there is no user"):
        split_options(["output_dir=~nobody-here/x"], {"output_dir": "outputs"})


@pytest.mark.parametrize("typed", ["", " ", "''", "null", "NULL"])
def test_empty_output_dir_is_rejected(typed: str) -> None:
    with pytest.raises(UserError, match=r"output_dir=.*: expected"):
        split_options([f"output_dir={typed}"], {"output_dir": "outputs"})
