"""Compares what a command printed with what a page shows, in which `…` stands for anything."""

import re
from collections.abc import Sequence

_ANY = "…"
# A terminal replaces these by what comes next: "starting TensorFlow … 4 s".
_PROGRESS = re.compile(r"[a-z][^…]* …(?: [\d.]+ s)?")
# A run's log has the messages of TensorFlow's C++ code, but ready processes print them: expt
# redirects them only while it imports TensorFlow.
_OF_TENSORFLOW = re.compile(r"[IWE]\d{4} [\d:.]+ +\d+ \S+\] .*")


def is_shown(shown: Sequence[str], printed: str) -> bool:
    """Whether the printed text is the shown one.

    Args:
        shown: Lines; `…` within one stands for any text, and alone for any lines, also none.
        printed: All that the command printed.
    """
    return re.fullmatch(_pattern(shown), _normalized(printed)) is not None


def first_missing_line(shown: Sequence[str], printed: str) -> str:
    """Returns the first shown line with which the printed text can't be continued."""
    for number, line in enumerate(shown):
        if re.match(_pattern(shown[: number + 1]), _normalized(printed)) is None:
            return line
    return "the end of the output"


def _pattern(shown: Sequence[str]) -> str:
    return "".join(
        r"(?:.*\n)*?" if line.strip() == _ANY else f"{_of_line(line.rstrip())}\n" for line in shown
    )


def _of_line(line: str) -> str:
    """Returns the pattern of a line; the columns of a table may be wider than they are shown."""
    return re.sub(r"(?:\\ )+", " +", ".*?".join(map(re.escape, line.split(_ANY))))


def _normalized(printed: str) -> str:
    """Returns what stays on a terminal, with plain spaces."""
    lines = [line.rstrip() for line in printed.replace("\N{NO-BREAK SPACE}", " ").splitlines()]
    left_out = (_PROGRESS, _OF_TENSORFLOW)
    kept = [line for line in lines if not any(one.fullmatch(line) for one in left_out)]
    return "".join(f"{line}\n" for line in "\n".join(kept).strip("\n").splitlines())
