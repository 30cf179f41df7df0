"""The encoding of table columns as inputs: numbers unchanged, text as one-hot vectors.

A run records its encoding in run.json, and exported models ship it.
"""

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.csv_files import expand_path, read_table
from expt.parts.data.names import join_names
from expt.parts.data.number_formats import (
    NumberFormat,
    parse_numbers,
    quote_shortened,
    to_canonical,
)
from expt.parts.data.reading import error_context
from expt.parts.data.scale import Scale

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5
_LONGEST_COMPARED = 200  # characters; the time to compare texts grows with their square


@dataclass(frozen=True)
class Column:
    """The encoding of one column.

    Attributes:
        name: The name of the column.
        categories: The values of a text column, or None for a column of numbers. Each category is
            a feature, which is 1 in rows with that value and 0 in all others; "" is the category of
            missing values. A column of numbers is one feature.
        fill: The number that replaces a missing one; None if no number may be missing.
        number: The format of the numbers; None for categories.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None
    number: NumberFormat | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Column":
        """Restores a column from the mapping that `to_mapping` returned.

        Raises:
            ValueError: If a value is invalid.
            KeyError: If a value is missing.
            TypeError: If a value has the wrong type.
        """
        categories, number = mapping["categories"], mapping["number"]
        fill = None if mapping["fill"] is None else float(mapping["fill"])
        # run.json may have been edited; a wrong encoding would change predictions silently.
        if (categories is None) == (number is None):
            raise ValueError("a column has categories or numbers")
        if fill is not None and not math.isfinite(fill):
            raise ValueError(f"a fill is {fill}")
        return cls(
            _text(mapping["name"]),
            None if categories is None else _texts(categories),
            fill,
            None if number is None else NumberFormat.from_mapping(number),
        )

    def to_mapping(self) -> dict[str, Any]:
        """Returns the column in JSON-compatible values."""
        return {
            "name": self.name,
            "categories": None if self.categories is None else list(self.categories),
            "fill": self.fill,
            "number": None if self.number is None else self.number.to_mapping(),
        }

    @property
    def feature_names(self) -> list[str]:
        """The names of the column's features, in order."""
        if self.categories is None:
            return [self.name]
        return [f"{self.name}={category}" for category in self.categories]


@dataclass(frozen=True)
class Encoded:
    """An encoded table.

    Attributes:
        inputs: The inputs, float64 of shape [rows, features].
        notes: Sentences for the user, such as on unknown categories.
    """

    inputs: NDArray[np.float64]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """The encoding of a table, recorded with the run that was trained on it.

    A category that does not occur in the train split is encoded as zeros and reported.

    Attributes:
        columns: The columns that become features, in the order of the features.
        separator: The character between values in files.
        impute: Whether values may be missing. A missing number is replaced by `Column.fill`, and a
            missing text is the category "".
        na_values: The texts that mean a missing value, see `read_table`.
        class_names: The names of the classes, indexed by label; empty for a regression.
        target: The number format of the targets; None for classes.
    """

    columns: tuple[Column, ...]
    separator: str
    impute: bool
    na_values: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()
    target: NumberFormat | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Encoder":
        """Restores an encoder from the mapping that `to_mapping` returned.

        Raises:
            UserError: If the mapping is damaged.
        """
        try:
            na_values, target = mapping["na_values"], mapping["target"]
            columns = tuple(map(Column.from_mapping, mapping["columns"]))
            if not columns:
                raise ValueError("it has no columns")
            return cls(
                columns,
                _text(mapping["separator"]),
                bool(mapping["impute"]),
                None if na_values is None else _texts(na_values),
                _texts(mapping["class_names"]),
                None if target is None else NumberFormat.from_mapping(target),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"run.json is damaged: its data.preparation is not that of a table ({error!r})."
            ) from error

    def to_mapping(self) -> dict[str, Any]:
        """Returns the encoder in JSON-compatible values."""
        return {
            "kind": "table",
            "columns": [column.to_mapping() for column in self.columns],
            "separator": self.separator,
            "impute": self.impute,
            "na_values": None if self.na_values is None else list(self.na_values),
            "class_names": list(self.class_names),
            "target": None if self.target is None else self.target.to_mapping(),
        }

    def read(self, path: str | Path) -> "pd.DataFrame":
        """Reads a CSV file as text, with the separator and missing values of the training.

        Raises:
            UserError: If the file can't be read as a table; the message starts with its path.
        """
        with error_context(f"{path}: "):
            return read_table(expand_path(path), self.separator, self.na_values)

    def transform(self, table: "pd.DataFrame") -> Encoded:
        """Encodes a table as returned by `read_table`; it needs no target.

        Raises:
            UserError: If a column or a required value is missing, a number can't be parsed, or
                none of a column's categories is known.
        """
        absent = [column.name for column in self.columns if column.name not in table.columns]
        if absent:
            raise UserError(
                f"the columns {join_names([repr(name) for name in absent])} are missing; the table "
                f"has {join_names([repr(name) for name in table.columns])}."
            )
        # By name, not by position: another table may have more columns, in another order.
        encoded = [self._features(table[column.name], column) for column in self.columns]
        features = np.concatenate([one.inputs for one in encoded], axis=1)
        return Encoded(features, tuple(note for one in encoded for note in one.notes))

    def _features(self, texts: "pd.Series[str]", column: Column) -> Encoded:
        if not self.impute and (texts == "").any():
            place = f"{texts.index.name or 'line'} {texts.index[texts == ''][0]}"
            raise UserError(f"{place} has no value of {column.name!r}; expected one.")
        if column.categories is None:
            values = parse_numbers(texts, column.number or NumberFormat())
            filled = values if column.fill is None else values.fillna(column.fill)
            return Encoded(np.asarray(filled, np.float64)[:, None], ())
        return _one_hot(texts, column)

    @property
    def are_numbers(self) -> NDArray[np.bool_]:
        """A mask of the numeric features, which are not one-hot, shape [features]."""
        widths = [len(column.feature_names) for column in self.columns]
        return np.repeat([column.categories is None for column in self.columns], widths)

    def fit_scale(self, inputs: NDArray[np.floating[Any]]) -> Scale:
        """Fits a scale to the numeric features.

        Args:
            inputs: The inputs of the train split, shape [rows, features].

        Returns:
            A scale of all features that leaves one-hot features unchanged.
        """
        # Standardized one-hot features of rare categories would have huge values.
        fitted, are_numbers = Scale.fit(inputs), self.are_numbers
        return Scale(
            np.where(are_numbers, fitted.mean, 0.0), np.where(are_numbers, fitted.deviation, 1.0)
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all features, in order."""
        return tuple(name for column in self.columns for name in column.feature_names)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is not a list")
    return tuple(map(_text, values))


def categories_of(texts: "pd.Series[str]") -> tuple[str, ...]:
    """Returns the sorted categories of a column; whole numbers in canonical form, `1` for `1.0`."""
    return tuple(sorted(set(map(to_canonical, texts.unique()))))


def _one_hot(texts: "pd.Series[str]", column: Column) -> Encoded:
    import pandas as pd

    categories = column.categories or ()
    known = {text: to_canonical(text) for text in texts.unique()}
    # Each distinct text is converted once; get_indexer returns -1 for unknown categories.
    codes = pd.Index(categories, dtype=object).get_indexer(pd.Index(texts.map(known), dtype=object))
    one_hot = (codes[:, None] == np.arange(len(categories))).astype(np.float64)
    unknown = texts[codes < 0]
    if unknown.empty:
        return Encoded(one_hot, ())
    # A few new values are expected in practice. If all are new, the column is a wrong one or is
    # written differently, and zeros everywhere would silently ruin the predictions.
    named = join_names(
        [_describe_unknown(text, n, categories) for text, n in _count_texts(unknown)], _MOST_NAMED
    )
    if not (codes[texts != ""] >= 0).any():
        raise UserError(
            f"{column.name!r} has no value that occurred in training, but {named}. Known: "
            f"{join_names([quote_shortened(category) for category in categories])}. Expected "
            "values as written in the training data; case matters."
        )
    note = (
        f"{column.name!r} has {len(unknown):,} of {len(texts):,} values that did not occur in "
        f"training and are encoded as zeros: {named}."
    )
    return Encoded(one_hot, (note,))


def _count_texts(texts: "pd.Series[str]") -> list[tuple[str, int]]:
    """Returns the distinct texts with their counts, most frequent first."""
    counts = Counter(texts).items()
    return sorted(counts, key=lambda item: (-item[1], item[0]))


def _describe_unknown(text: str, count: int, categories: Sequence[str]) -> str:
    """Returns an unknown value with its count and the most similar known category, if any."""
    near = _find_similar(text, categories)
    hint = f"; known: {quote_shortened(near)}" if near else ""
    return f"{quote_shortened(text) if text else 'a missing one'} ({count:,}{hint})"


def _find_similar(text: str, categories: Sequence[str]) -> str | None:
    if len(text) > _LONGEST_COMPARED:
        return None
    # Without case, since that is the most frequent difference.
    by_fold = {category.casefold(): category for category in categories}
    close = difflib.get_close_matches(text.casefold(), by_fold, n=1, cutoff=0.8)
    return by_fold[close[0]] if close else None
