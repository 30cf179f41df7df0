"""The steps of a page of the documentation: files to write and commands to run, in their order.

CONTRIBUTING.md explains how pages are written.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})\s*(?P<kind>[^`]*)")
_COMMENT = re.compile(r" *<!--(?P<text>.*?)-->\s*", re.DOTALL)
_DIRECTIVE = re.compile(r"\s*(file|not run|exit code|setup):(.*)", re.DOTALL)
_PROMPT = "$ "
_SHELLS = ("bash", "sh", "shell", "zsh", "console")
_RUN = "console"


class PageError(Exception):
    """A page that breaks the rules."""


@dataclass(frozen=True)
class WriteFile:
    """Writes a file that the page shows.

    Attributes:
        line: Where the page shows it.
        path: Relative to the page's folder.
        text: Its content.
    """

    line: int
    path: str
    text: str


@dataclass(frozen=True)
class RunCommand:
    """Runs a command.

    Attributes:
        line: Where the page shows it.
        command: For a shell.
        shown: The lines that the page shows below it; without any, it may print what it likes.
        code: The exit code that is expected.
    """

    line: int
    command: str
    shown: tuple[str, ...] = ()
    code: int = 0


Step = WriteFile | RunCommand


def read_steps(page: Path) -> list[Step]:
    """Returns the steps of a page.

    Raises:
        PageError: A block breaks the rules of CONTRIBUTING.md; the message has its line.
    """
    steps: list[Step] = []
    directive: tuple[str, str] | None = None
    for block in _blocks(page.read_text(encoding="utf-8")):
        if block.kind == "":
            if directive is not None:
                raise PageError(
                    f"line {block.line}: expected a block after <!-- {directive[0]} -->"
                )
        elif block.kind == "comment":
            match = _DIRECTIVE.fullmatch(block.text)
            if match is None:
                continue
            name, value = match[1], textwrap.dedent(match[2]).strip()
            if not value:
                raise PageError(f"line {block.line}: {name}: expected something after the colon")
            if name == "setup":
                steps.append(RunCommand(block.line, value))
            else:
                directive = (name, value)
        else:
            steps += _steps(block, *(directive or ("", "")))
            directive = None
    return steps


@dataclass(frozen=True)
class _Block:
    """A part of a page: a fenced block, an HTML comment, or (with an empty kind) other text."""

    line: int
    kind: str
    text: str


def _blocks(text: str) -> Iterator[_Block]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first, fence = number, _FENCE.fullmatch(lines[number])
        number += 1
        if fence:
            while number < len(lines) and lines[number].strip() != fence["fence"]:
                number += 1
            inner = [line.removeprefix(fence["indent"]) for line in lines[first + 1 : number]]
            number += 1
            yield _Block(first + 1, fence["kind"].strip() or "text", "\n".join(inner))
        elif lines[first].lstrip().startswith("<!--"):
            while "-->" not in lines[number - 1] and number < len(lines):
                number += 1
            match = _COMMENT.fullmatch("\n".join(lines[first:number]))
            yield _Block(first + 1, "comment" if match else "", match["text"] if match else "")
        elif lines[first].strip():
            yield _Block(first + 1, "", lines[first])


def _steps(block: _Block, directive: str, value: str) -> list[Step]:
    kind = block.kind.split()[0]
    if directive == "file":
        return [WriteFile(block.line, value, f"{block.text}\n")]
    if directive == "not run":
        return []
    if kind == _RUN:
        return _commands(block, int(value) if directive == "exit code" else 0)
    if kind in _SHELLS:
        raise PageError(f"line {block.line}: a block of {kind}; commands are in blocks of console")
    if kind == "python":
        raise PageError(
            f"line {block.line}: Python that no test runs; add <!-- file: NAME.py --> and a "
            "command, or <!-- not run: REASON -->"
        )
    return []


def _commands(block: _Block, code: int) -> list[Step]:
    steps: list[Step] = []
    command, shown, first = "", list[str](), 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if command.endswith("\\"):
            command = f"{command[:-1]}{line.strip()}"
        elif line.startswith(_PROMPT):
            steps += [RunCommand(first, command, _trimmed(shown))] if command else []
            command, shown, first = line.removeprefix(_PROMPT), [], number
        elif not command:
            raise PageError(f"line {number}: expected a command, after {_PROMPT!r}")
        else:
            shown.append(line)
    if not command:
        raise PageError(f"line {block.line}: a block of console without a command")
    return [*steps, RunCommand(first, command, _trimmed(shown), code)]


def _trimmed(lines: list[str]) -> tuple[str, ...]:
    text = "\n".join(lines).strip("\n")
    return tuple(text.splitlines())
