"""Writes the reference of the documentation: every group, option and key, and every command.

    python scripts/reference_pages.py [FOLDER]

FOLDER is docs/reference unless another one is named. `docs/conf.py` calls it whenever the
documentation is built; what it writes is not committed, so that it can't be out of date.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from expt.cli import COMMANDS
from expt.config.groups import groups
from expt.config.reference import Group, Key, Option, first_sentence, read_group, read_top_level

_FOLDER = Path(__file__).parents[1] / "docs/reference"
_NOTE = "<!-- Written by scripts/reference_pages.py; do not edit. -->"
_SPECIAL = re.compile(r"[\\*<|]|\b_|_\b")
_CODE = re.compile(r"(`+[^`]*`+)")

RUN_FLAGS: Mapping[str, str] = {
    "-h, --help": "Shows groups, options and keys; `--help model=cnn` shows those of `model=cnn`.",
    "-m, --multirun": "Trains a sweep: a job for each combination of the values.",
    "-c, --cfg KIND": "Shows the config and trains nothing. KIND is `job`, `hydra` or `all`.",
    "--resolve": "With `--cfg` or `--help`: resolves interpolations.",
    "-p, --package KEY": "With `--cfg`: shows the node of that key alone.",
    "-cd, --config-dir DIR": "Adds a folder of your own options, which come before those of expt.",
    "--rerun RUN": "Trains the config of a recorded run anew; overrides change it.",
    "--metric METRIC": "With `--rerun best`: the metric that decides which run is best.",
    "-i, --info KIND": "Prints what Hydra knows: `all`, `config`, `defaults`, `defaults-tree`, "
    "`plugins` or `searchpath`.",
    "-r, --run": "Trains one run, as without it.",
    "-sc, --shell-completion": "Used by the scripts of `expt.completion`.",
    "--hydra-help": "Explains Hydra's own flags and groups.",
    "--version": "Prints Hydra's version.",
}
"""The flags of expt.run; Hydra's help of them is about `hydra.main`, which expt does not use."""

_HELP_OF_ALL = """
import contextlib, importlib, sys
for command in sys.argv[1].split(","):
    print(f"\\x00{command}")
    sys.argv = ["x.py", "--help"]
    with contextlib.suppress(SystemExit):
        importlib.import_module(f"expt.{command}").main()
"""


def main() -> None:
    """Writes the pages."""
    write_pages(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER)


def write_pages(folder: Path) -> None:
    """Writes the pages into a folder, and removes those of options that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = pages()
    for file in folder.glob("*.md"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        file = folder / name
        # An unchanged file is left alone, so that Sphinx does not read it again.
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Returns the text of each page by its file name."""
    all_groups = [read_group(name) for name in groups()]
    texts = {"index.md": _index(all_groups), "commands.md": _commands()}
    texts |= {f"{group.name}.md": _group_page(group) for group in all_groups}
    return {name: f"{_NOTE}\n\n{text}" for name, text in texts.items()}


def _index(all_groups: Iterable[Group]) -> str:
    lines = [
        "# Reference",
        "",
        "A config chooses one option from each group (`model=cnn`) and sets keys",
        "(`model.filters=[16,32]`). `python -m expt.run --help model=cnn` shows the keys of an",
        "option in the terminal. The [commands](commands.md) are on a separate page.",
        "",
        "## Groups",
        "",
        *_table(
            ("group", "default", "meaning"),
            [
                (f"[{g.name}]({g.name}.md)", _codes(g.default) or "none", _text(g.meaning))
                for g in all_groups
            ],
        ),
        "",
        "## Keys that belong to no group",
        "",
        *_key_table(read_top_level(), ""),
        "",
        "## Keys that begin with an underscore",
        "",
        "`_target_` names the function or class that is called with the other keys as arguments.",
        "The others, such as `_tasks_` or `_predicts_`, declare what must be known of a part",
        "before it is made. They belong in the yaml of a part, not on the command line, so they",
        "are left out here.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        "commands",
        *(group.name for group in all_groups),
        "```",
        "",
    ]
    return "\n".join(lines)


def _group_page(group: Group) -> str:
    default = _codes(group.default)
    lines = [f"# {group.name}", ""]
    lines += [_sentence(_text(group.meaning)), ""] if group.meaning else []
    lines += [f"Default: {default}." if default else "None is chosen by default.", ""]
    lines += _table(
        ("option", "meaning"),
        [
            (f"[{one.name}](#{one.name.lower()})", _text(first_sentence(one.meaning)))
            for one in group.options
        ],
    )
    for option in group.options:
        lines += ["", *_option_section(option)]
    return "\n".join([*lines, ""])


def _option_section(option: Option) -> Iterator[str]:
    yield from (f"## {option.name}", "", _sentence(_text(option.meaning)), "")
    if option.target:
        is_given = option.target != "???"
        yield f"Calls `{option.target if is_given else f'{option.node}._target_'}`."
        yield ""
    if option.sets:
        yield from _table(
            ("key", "value"), [(f"`{key}`", _code(value)) for key, value in option.sets.items()]
        )
    elif option.keys:
        yield from _key_table(option.keys, f"{option.node}.")
    else:
        yield "It has no keys."


def _key_table(keys: Iterable[Key], prefix: str) -> list[str]:
    return _table(
        ("key", "type", "default", "meaning"),
        [
            (
                f"`{prefix}{key.name}`",
                _text(key.type),
                "" if key.has_keys else "required" if key.default == "???" else _code(key.default),
                _text(key.meaning),
            )
            for key in keys
        ],
    )


def _commands() -> str:
    """Each command, with its own help; of expt.run, whose help is the config's, the flags."""
    lines = [
        "# Commands",
        "",
        "`expt COMMAND …` is the same as `python -m expt.COMMAND …`.",
        "[Exit codes](../exit-codes.md) are the same for all of them.",
        "",
    ]
    lines += _table(
        ("command", "purpose"), [(f"[{name}](#{name})", text) for name, text in COMMANDS.items()]
    )
    for command, purpose in COMMANDS.items():
        lines += ["", f"## {command}", ""]
        if command == "run":
            lines += [_sentence(purpose[:1].upper() + purpose[1:]), ""]
            lines += ["    python -m expt.run [FLAGS] [GROUP=OPTION | KEY=VALUE ...]", ""]
            flags = [(f"`{flag}`", text) for flag, text in RUN_FLAGS.items()]
            lines += _table(("flag", "meaning"), flags)
        else:
            lines += ["```text", command_helps()[command].rstrip(), "```"]
    return "\n".join([*lines, ""])


@cache
def command_helps() -> dict[str, str]:
    """Returns what `--help` of each command prints, but for expt.run."""
    names = [name for name in COMMANDS if name != "run"]
    done = subprocess.run(
        [sys.executable, "-c", _HELP_OF_ALL, ",".join(names)],
        env={**os.environ, "COLUMNS": "96"},
        capture_output=True,
        text=True,
        check=True,
    )
    helps = (part.partition("\n") for part in done.stdout.split("\0")[1:])
    return {name: text.replace("python -m expt.x ", "") for name, _, text in helps}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows]]


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _code(value: str) -> str:
    """Returns a value as code in a table's cell."""
    return f"`{value}`".replace("|", r"\|")


def _text(text: str) -> str:
    """Returns plain text as Markdown for a table's cell; what is in backticks stays code."""
    parts = [
        part.replace("|", r"\|") if part.startswith("`") else _SPECIAL.sub(r"\\\g<0>", part)
        for part in _CODE.split(text)
    ]
    return "".join(parts)


def _sentence(text: str) -> str:
    return text if text.endswith((".", ":", "?", "!")) else f"{text}."


if __name__ == "__main__":
    main()
