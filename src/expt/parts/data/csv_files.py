"""Reading of CSV files as tables of text.

Every value stays text here. Which columns are numbers is decided per column, in `columns`, where
the error messages can show the text as it is in the file.
"""

import csv
import io
import itertools
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from expt.errors import UserError
from expt.parts.data.names import join_names

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?")
"""The lowercase texts that mean a missing value, unless `data.na_values` lists others."""

STANDARD_INPUT = "-"

_ROWS_AT_ONCE = 50_000
# Spaces that break for those that don't; invisible characters are removed.
_LOOKING_ALIKE = {
    **dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " "),
    **dict.fromkeys(map(ord, "\u200b\u2060\ufeff")),
}
_LARGEST_CELL = 2**30  # characters
_SEPARATORS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}
# The first bytes of common files that are not text, and how to convert them.
_SIGNATURES = {
    b"\x1f\x8b": "it is compressed with gzip; unpack it with gunzip",
    b"PK\x03\x04": "it is a zip archive, or a spreadsheet (.xlsx); unpack it, or save it as CSV",
    b"PAR1": "it is a Parquet file; save it as CSV",
    b"\xd0\xcf\x11\xe0": "it is a spreadsheet (.xls); save it as CSV",
    b"BZh": "it is compressed with bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "it is compressed with xz; unpack it with unxz",
}


def read_table(
    file: Path, separator: str, na_values: Sequence[str] | None = None
) -> "pd.DataFrame":
    """Reads a CSV file with a header as text.

    Blank lines are skipped, white space around values is removed, and Unicode is normalized. A
    missing value becomes the empty text.

    Args:
        file: The file, in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; `-` is the
            standard input.
        separator: The character between values.
        na_values: The texts that mean a missing value, in addition to the empty text; None means
            `MISSING`, in any case.

    Returns:
        A table whose index is the line of the file on which a row starts. Its
        `attrs["missing_texts"]` counts the non-empty texts that were read as missing, by column.

    Raises:
        UserError: If the file is empty, ragged or not a table; the message names the line.
    """
    # Not pandas.read_csv, which reports no line numbers and pads short rows silently.
    import pandas as pd

    separator = str(separator).replace(r"\t", "\t")  # a shell passes backslash and t
    if len(separator) != 1 or separator in '"\r\n ':
        raise UserError(
            f"data.separator={separator!r}: expected one character, such as ',' or '\\t'."
        )
    named = None if na_values is None else {normalize_text(str(value)) for value in na_values}
    lines: list[int] = []
    chunks: list[pd.DataFrame] = []
    missing: dict[str, Counter[str]] = {}
    try:
        with _open_file(file) as content, _any_cell_size():
            stream = io.TextIOWrapper(content, encoding=_encoding(content), newline="")
            records = _records(stream, separator)
            header = _column_names(next(records, (1, []))[1])
            while chunk := list(itertools.islice(records, _ROWS_AT_ONCE)):
                lines += [line for line, _ in chunk]
                columns = zip(header, zip(*[row for _, row in chunk], strict=True), strict=True)
                cleaned = {name: _clean(name, cells, named, missing) for name, cells in columns}
                chunks.append(pd.DataFrame(cleaned, dtype=object))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{_find_place(error, file)} is not {error.encoding.upper()} text ({error.reason}); "
            "save the file as CSV in UTF-8. Spreadsheets often use Windows-1252 instead."
        ) from error
    except OSError as error:
        raise UserError(f"it can't be read as CSV: {error}") from error
    if not chunks:
        raise UserError("there is a header but no rows.")
    table = pd.concat(chunks).astype("str").set_axis(pd.Index(lines, name="line"), axis=0)
    table.attrs["missing_texts"] = {name: dict(counts) for name, counts in missing.items()}
    return table


def normalize_text(text: str) -> str:
    """Strips a text and replaces characters that look alike by one of them.

    The result is in Unicode's normal form C, with plain spaces for non-breaking ones and without
    invisible characters.
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_LOOKING_ALIKE).strip())


def is_missing(text: str, na_values: Collection[str] | None) -> bool:
    """Whether a normalized text means a missing value.

    Args:
        text: The text.
        na_values: The texts that mean a missing value, case-sensitive; None means `MISSING`.
    """
    return not text or (text.lower() in MISSING if na_values is None else text in na_values)


def other_separator(header: str, separator: str) -> str:
    """Returns advice on `data.separator` for a header that was read as a single column."""
    found = next((s for s in _SEPARATORS if s != separator and s in header), None)
    if found is None:
        return f"Is data.separator={separator!r} right?"
    return f"It is separated by {_SEPARATORS[found]}: data.separator={_SEPARATORS[found]}."


@contextmanager
def _open_file(file: Path) -> Iterator[io.BufferedReader]:
    if str(file) == STANDARD_INPUT:
        # A copy, since the text wrapper around it closes what it wraps.
        yield io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))
        return
    with file.open("rb") as content:
        yield content


def _encoding(content: io.BufferedReader) -> str:
    """Returns the encoding by a file's byte order mark; UTF-8 without one.

    Raises:
        UserError: If the file is not text.
    """
    head = content.peek(64)[:64]
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise UserError(f"it can't be read as CSV: {what}.")
    # UTF-32 first: its mark starts with that of UTF-16.
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        what = "UTF-16 text without a byte order mark" if head.count(b"\0") > 8 else "not text"
        raise UserError(f"it can't be read as CSV: it is {what}; save it as CSV in UTF-8.")
    return "utf-8-sig"


@contextmanager
def _any_cell_size() -> Iterator[None]:
    """Lifts the cell size limit of Python's reader.

    Its error for large cells is the same as for a quotation mark that is never closed.
    """
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(stream: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the header and the rows, each with the line it starts on.

    Raises:
        UserError: If a line is malformed or has another number of values than the header.
    """
    reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
    line, width = 1, 0
    header: list[str] = []
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"line {line} can't be read as CSV: {error}. Check for a quotation mark that is "
                "not closed, or not doubled inside a value."
            ) from error
        # In a table of one column a blank line is a row with a missing value.
        is_blank = not any(map(str.strip, record))
        if record and not (is_blank and len(record) == 1 and width != 1):
            header = header or record
            width = len(header)
            if len(record) != width:
                raise UserError(
                    f"line {line} has {len(record)} value(s), the header {width}. "
                    f"{_width_advice(header, separator)}"
                )
            yield line, record
        line = reader.line_num + 1


def _width_advice(header: Sequence[str], separator: str) -> str:
    if len(header) == 1 and any(other in header[0] for other in _SEPARATORS):
        return other_separator(header[0], separator)
    return f"A value that contains {separator!r} must be in quotation marks."


def _column_names(header: Sequence[str]) -> list[str]:
    names = [normalize_text(name) for name in header]
    if not names:
        raise UserError("the file is empty; expected a header and rows.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"the header repeats "
            f"{join_names([repr(name) for name in repeated])}; expected a different "
            "name for each column."
        )
    return names


def _clean(
    name: str,
    cells: Sequence[str],
    na_values: Collection[str] | None,
    missing: dict[str, Counter[str]],
) -> list[str]:
    """Normalizes a column's texts and adds those that mean a missing value to the counts.

    Args:
        name: The column.
        cells: Its texts.
        na_values: See `is_missing`.
        missing: The counts by column and text; updated in place.
    """
    # Each different text once: columns of categories or small numbers have few of them.
    known = {text: normalize_text(text) for text in set(cells)}
    for text, value in known.items():
        if is_missing(value, na_values):
            known[text] = ""
            if value:
                missing.setdefault(name, Counter())[value] += cells.count(text)
    return [known[text] for text in cells]


def _find_place(error: UnicodeDecodeError, file: Path) -> str:
    # The error counts bytes of the chunk that was decoded, so the line must be looked for again.
    if str(file) == STANDARD_INPUT or error.encoding != "utf-8":
        return "the text"
    with file.open("rb") as content:
        return f"line {_line_not_utf8(content)}"


def _line_not_utf8(content: BinaryIO) -> int:
    text = content.read()
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return text.count(b"\n", 0, error.start) + 1
    return 1


def expand_path(path: str | Path) -> Path:
    """Returns the path of a table with `~` expanded; `-` still means the standard input."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  never raises
