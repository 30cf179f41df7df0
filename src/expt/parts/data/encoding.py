"""How a table of numbers and text is read, and how its columns become inputs."""

import csv
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.reading import told_of

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?")
"""What a missing value of a table is written as, in small letters."""

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Column:
    """How one column becomes features.

    Attributes:
        name: The column.
        categories: The values that are a feature each, 1 where a row has that value, else 0; ""
            stands for a missing one. None if the column is of numbers, which are one feature.
        fill: What a missing number becomes; None if it must not be missing.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None


@dataclass(frozen=True)
class Encoder:
    """How a table becomes inputs: numbers as they are, text as one-hot vectors.

    A category that the train split did not have is a vector of zeros.

    Attributes:
        columns: Those that become features, in the features' order.
        separator: What stands between values in files.
        impute: Whether values may be missing: `Column.fill` stands for a number, the category ""
            for a text.
    """

    columns: tuple[Column, ...]
    separator: str
    impute: bool

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Encoder":
        """Makes the encoder of which these are the plain values."""
        columns = tuple(
            Column(
                column["name"],
                None if column["categories"] is None else tuple(column["categories"]),
                column["fill"],
            )
            for column in mapping["columns"]
        )
        return cls(columns, mapping["separator"], mapping["impute"])

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values, which JSON can hold."""
        columns = [
            {**vars(column), "categories": column.categories and list(column.categories)}
            for column in self.columns
        ]
        return {
            "kind": "table",
            "columns": columns,
            "separator": self.separator,
            "impute": self.impute,
        }

    def read(self, path: str | Path) -> NDArray[np.float32]:
        """Reads the inputs of a CSV file; its other columns are ignored, so it needs no target.

        Returns:
            Shape [rows, features].

        Raises:
            UserError: The file is no such table.
        """
        place = Path(os.path.expanduser(path))  # noqa: PTH111  never raises
        with told_of(f"{path}: "):
            return self.transform(read_table(place, self.separator))

    def transform(self, table: "pd.DataFrame") -> NDArray[np.float32]:
        """Returns the inputs of a table as `read_table` gives it, shape [rows, features].

        Raises:
            UserError: The table lacks a column, or a value that it must have, or has text where
                numbers are expected.
        """
        absent = [column.name for column in self.columns if column.name not in table.columns]
        if absent:
            raise UserError(
                f"the columns {', '.join(absent)} are missing; it has {', '.join(table.columns)}."
            )
        return np.concatenate([self._features(table, column) for column in self.columns], axis=1)

    def _features(self, table: "pd.DataFrame", column: Column) -> NDArray[np.float32]:
        import pandas as pd

        texts = table[column.name]
        if not self.impute and (texts == "").any():
            line = texts.index[texts == ""][0]
            raise UserError(f"line {line} has no value of {column.name!r}; expected one.")
        if column.categories is None:
            values = numbers(texts)
            filled = values if column.fill is None else values.fillna(column.fill)
            return filled.to_numpy(np.float32)[:, None]
        codes = pd.Index(column.categories, dtype=object).get_indexer(pd.Index(texts, dtype=object))
        one_hot = codes[:, None] == np.arange(len(column.categories))
        return np.asarray(one_hot, np.float32)

    @property
    def are_numbers(self) -> NDArray[np.bool_]:
        """Which features are numbers, not one-hot, shape [features]."""
        widths = [1 if c.categories is None else len(c.categories) for c in self.columns]
        return np.repeat([c.categories is None for c in self.columns], widths)


def read_table(file: Path, separator: str) -> "pd.DataFrame":
    """Reads a CSV file with a header, every value as text.

    Blank lines are skipped and spaces around values dropped; a missing value (`MISSING`) becomes
    the empty text.

    Args:
        file: The file, in UTF-8.
        separator: What stands between values, one character.

    Returns:
        The table; its index is the line of the file on which a row starts.

    Raises:
        UserError: The file is empty, ragged or otherwise no table; the message names the line.
    """
    import pandas as pd

    separator = str(separator).replace(r"\t", "\t")  # as it comes from a command line
    if len(separator) != 1 or separator in '"\r\n ':
        raise UserError(f"data.separator={separator!r}: expected one character, as ',' or '\\t'.")
    lines: list[int] = []
    chunks: list[pd.DataFrame] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            records = _records(stream, separator)
            header = _column_names(next(records, (1, []))[1])
            while chunk := list(itertools.islice(records, _ROWS_AT_ONCE)):
                lines += [line for line, _ in chunk]
                chunks.append(_cleaned(pd.DataFrame([r for _, r in chunk], columns=header)))
    except UnicodeDecodeError as error:
        raise UserError(
            f"line {_line_not_utf8(file)} is not UTF-8 text ({error.reason}); save the file as "
            "CSV in UTF-8."
        ) from error
    except OSError as error:
        raise UserError(f"it can't be read as CSV: {error}") from error
    if not chunks:
        raise UserError("there is a header and no rows.")
    return pd.concat(chunks).set_axis(pd.Index(lines, name="line"), axis=0)


def _records(stream: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the header and each row with the line it starts on, all of the header's length."""
    reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
    line, width = 1, 0
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
        if record:
            width = width or len(record)
            if len(record) != width:
                raise UserError(
                    f"line {line} has {len(record)} value(s), the header {width}. A value that "
                    f"contains {separator!r} must stand in quotation marks."
                )
            yield line, record
        line = reader.line_num + 1


def _column_names(header: Sequence[str]) -> list[str]:
    names = [name.strip() for name in header]
    if not names:
        raise UserError("the file is empty; expected a header and rows.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"the header has {', '.join(map(repr, repeated))} more than once; expected a name of "
            "its own for each column."
        )
    return names


def _cleaned(frame: "pd.DataFrame") -> "pd.DataFrame":
    stripped = frame.astype("str").apply(lambda column: column.str.strip())
    cleaned: pd.DataFrame = stripped.mask(
        stripped.apply(lambda column: column.str.lower().isin(MISSING)), ""
    )
    return cleaned


def _line_not_utf8(file: Path) -> int:
    content = file.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1


def numbers(texts: "pd.Series[str]") -> "pd.Series[float]":
    """Returns a column's numbers, NaN where the text is empty.

    Raises:
        UserError: A text is no number, or one that float32 can't hold; the message names its line.
    """
    import pandas as pd

    values: pd.Series[float] = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    wrong = (texts != "") & ~(values.abs() <= np.finfo(np.float32).max)
    if wrong.any():
        raise UserError(
            f"{texts.name!r} has {texts[wrong].iloc[0]!r} on line {texts.index[wrong][0]}, where "
            f"numbers are expected ({int(wrong.sum())} such value(s) of {len(texts)})."
        )
    return values
