"""CSV files read as tables of text."""

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
from expt.parts.data.names import listed

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?")
"""What a missing value is written as, in small letters, unless `data.na_values` says otherwise."""

STANDARD_INPUT = "-"

_ROWS_AT_ONCE = 50_000
_LOOKING_ALIKE = {
    **dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " "),
    **dict.fromkeys(map(ord, "\u200b\u2060\ufeff")),
}
_LARGEST_CELL = 2**30  # letters
_SEPARATORS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}
# What files start with that are no text, and how to make them so.
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
    """Reads a CSV file with a header, every value as text.

    Blank lines are skipped, white space around values is dropped, and what Unicode can write in
    several ways that look alike is brought to one. A missing value becomes the empty text.

    Args:
        file: The file, in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; `-` is the
            standard input.
        separator: The character between values.
        na_values: The texts that mean a missing value, beside the empty one; None is `MISSING`, in
            small or large letters.

    Returns:
        The table; its index is the line of the file on which a row starts. `missing_texts` of its
        attributes counts by column the texts that were taken as missing, but for empty ones.

    Raises:
        UserError: The file is empty, ragged or otherwise no table; the message names the line.
    """
    import pandas as pd

    separator = str(separator).replace(r"\t", "\t")  # as it comes from a command line
    if len(separator) != 1 or separator in '"\r\n ':
        raise UserError(f"data.separator={separator!r}: expected one character, as ',' or '\\t'.")
    named = None if na_values is None else {normalized(str(value)) for value in na_values}
    lines: list[int] = []
    chunks: list[pd.DataFrame] = []
    missing: dict[str, Counter[str]] = {}
    try:
        with _opened(file) as content, _any_cell_size():
            stream = io.TextIOWrapper(content, encoding=_encoding(content), newline="")
            records = _records(stream, separator)
            header = _column_names(next(records, (1, []))[1])
            while chunk := list(itertools.islice(records, _ROWS_AT_ONCE)):
                lines += [line for line, _ in chunk]
                columns = zip(header, zip(*[row for _, row in chunk], strict=True), strict=True)
                cleaned = {name: _cleaned(name, cells, named, missing) for name, cells in columns}
                chunks.append(pd.DataFrame(cleaned, dtype=object))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{_place_of(error, file)} is not {error.encoding.upper()} text ({error.reason}); save "
            "the file as CSV in UTF-8. Spreadsheets often write Windows-1252 instead."
        ) from error
    except OSError as error:
        raise UserError(f"it can't be read as CSV: {error}") from error
    if not chunks:
        raise UserError("there is a header and no rows.")
    table = pd.concat(chunks).astype("str").set_axis(pd.Index(lines, name="line"), axis=0)
    table.attrs["missing_texts"] = {name: dict(counts) for name, counts in missing.items()}
    return table


def normalized(text: str) -> str:
    """Returns a text without white space around it, and with one way to write what looks alike.

    That is Unicode's normal form C, spaces that break for those that don't, and no invisible ones.
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_LOOKING_ALIKE).strip())


def is_missing(text: str, na_values: Collection[str] | None) -> bool:
    """Whether a text means a missing value: by `MISSING`, or by those that a config names."""
    return not text or (text.lower() in MISSING if na_values is None else text in na_values)


def other_separator(header: str, separator: str) -> str:
    """Returns advice on the separator for a header that is one column."""
    found = next((s for s in _SEPARATORS if s != separator and s in header), None)
    if found is None:
        return f"Is data.separator={separator!r} right?"
    return f"It is separated by {_SEPARATORS[found]}: data.separator={_SEPARATORS[found]}."


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedReader]:
    if str(file) == STANDARD_INPUT:
        yield io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))
        return
    with file.open("rb") as content:
        yield content


def _encoding(content: io.BufferedReader) -> str:
    """Returns the encoding that a file's first bytes name.

    Raises:
        UserError: The file is of another kind.
    """
    head = content.peek(64)[:64]
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise UserError(f"it can't be read as CSV: {what}.")
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        what = "UTF-16 text without a byte order mark" if head.count(b"\0") > 8 else "no text"
        raise UserError(f"it can't be read as CSV: it is {what}; save it as CSV in UTF-8.")
    return "utf-8-sig"


@contextmanager
def _any_cell_size() -> Iterator[None]:
    """Lifts the limit of Python's reader, whose error would look like an open quotation mark."""
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(stream: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the header and each row with the line it starts on, all of the header's length."""
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
                f"line {line} can't be read as CSV: {error}. Is a quotation mark not closed, or "
                "not doubled?"
            ) from error
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
    names = [normalized(name) for name in header]
    if not names:
        raise UserError("the file is empty; expected a header and rows.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"the header has {listed([repr(name) for name in repeated])} more than once; expected "
            "another name for each column."
        )
    return names


def _cleaned(
    name: str,
    cells: Sequence[str],
    na_values: Collection[str] | None,
    missing: dict[str, Counter[str]],
) -> list[str]:
    """Normalizes a column's texts and counts those that mean a missing value."""
    known = {text: normalized(text) for text in set(cells)}
    for text, value in known.items():
        if is_missing(value, na_values):
            known[text] = ""
            if value:
                missing.setdefault(name, Counter())[value] += cells.count(text)
    return [known[text] for text in cells]


def _place_of(error: UnicodeDecodeError, file: Path) -> str:
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


def located_table(path: str | Path) -> Path:
    """Returns the path of a table, `~` expanded; `-` stays the standard input."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  never raises
