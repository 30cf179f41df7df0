"""The comments of a YAML file, each with the key that it explains.

PyYAML drops comments. They are found again by the marks of its nodes, so that a `#` inside of a
text is never taken for one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_COMMENT = re.compile(r"\s+#\s?(.*)")
_WHOLE_LINE = re.compile(r"\s*#\s?(.*)")
_PACKAGE = "@package"


@dataclass(frozen=True)
class Comments:
    """The comments of a file.

    Attributes:
        header: The lines above the first key, which are about the file as a whole.
        keys: The comment of each key that has one, by its full key in the file, such as
            `augment.flip`: the one on the key's line, else the lines directly above it. The
            entries of a list of mappings, as in a defaults list, count as keys of the list.
    """

    header: str = ""
    keys: dict[str, str] = field(default_factory=dict)


def read_comments(file: Path) -> Comments:
    """Returns the comments of a YAML file."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    entries = list(_entries(root)) if root is not None else []
    first_line = min((key.start_mark.line for _, key, _ in entries), default=len(lines))
    comments = Comments(header=_above(lines, first_line))
    last_line = -1
    for name, key, value in entries:
        comment = _on_line(lines, key, value)
        is_first_of_line = key.start_mark.line not in (first_line, last_line)
        last_line = key.start_mark.line
        if not comment and is_first_of_line:
            comment = _above(lines, key.start_mark.line)
        if comment:
            comments.keys[name] = comment
    return comments


def _entries(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yields the full key, the node of the key and that of the value, nested ones too."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key, value
            yield from _entries(value, f"{prefix}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _entries(item, prefix)


def _on_line(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    """Returns the comment behind a value; of a block that begins on the next line, behind its key.

    Entries of a mapping within one line share the comment of that mapping, so they have none.
    """
    is_block = value.start_mark.line > key.end_mark.line
    end = key.end_mark if is_block else value.end_mark
    rest = lines[end.line][end.column :] if end.line < len(lines) else ""
    if is_block:
        rest = rest.removeprefix(":")
    match = _COMMENT.fullmatch(rest)
    return match[1].strip() if match else ""


def _above(lines: list[str], number: int) -> str:
    """Returns the comment lines directly above a line, without Hydra's `# @package`."""
    found: list[str] = []
    while number > 0 and (match := _WHOLE_LINE.fullmatch(lines[number - 1])):
        found.insert(0, match[1].strip())
        number -= 1
    return " ".join(line for line in found if not line.startswith(_PACKAGE))
