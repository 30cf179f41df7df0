"""How the columns of a table become inputs: numbers as they are, text as one-hot vectors."""

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
from expt.parts.data.csv_files import located_table, read_table
from expt.parts.data.names import listed
from expt.parts.data.number_formats import NumberFormat, canonical, numbers, shortened
from expt.parts.data.reading import told_of
from expt.parts.data.scale import Scale

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5
_LONGEST_COMPARED = 200  # letters; the time to compare texts grows with their square


@dataclass(frozen=True)
class Column:
    """How one column becomes features.

    Attributes:
        name: The column.
        categories: The values that are a feature each, 1 where a row has that value, else 0; ""
            is a missing one. None if the column is of numbers, which are one feature.
        fill: What a missing number becomes; None if it must not be missing.
        number: How texts mean numbers; None for categories.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None
    number: NumberFormat | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Column":
        """Makes the column of which these are the plain values.

        Raises:
            ValueError: They are not such values; KeyError and TypeError are raised as well.
        """
        categories, number = mapping["categories"], mapping["number"]
        fill = None if mapping["fill"] is None else float(mapping["fill"])
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
        """Returns plain values, which JSON can hold."""
        return {
            "name": self.name,
            "categories": None if self.categories is None else list(self.categories),
            "fill": self.fill,
            "number": None if self.number is None else self.number.to_mapping(),
        }

    @property
    def feature_names(self) -> list[str]:
        """The names of its features, in their order."""
        if self.categories is None:
            return [self.name]
        return [f"{self.name}={category}" for category in self.categories]


@dataclass(frozen=True)
class Encoded:
    """A table as inputs.

    Attributes:
        inputs: float64, shape [rows, features].
        notes: What a user should know of it, a sentence each.
    """

    inputs: NDArray[np.float64]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """How a table becomes inputs, recorded with the run that was trained on it.

    A category that the train split did not have is a vector of zeros, and is reported.

    Attributes:
        columns: Those that become features, in the features' order.
        separator: The character between values in files.
        impute: Whether values may be missing: `Column.fill` replaces a number, the category "" a
            text.
        na_values: See `read_table`.
        class_names: The classes that the run learned, in the order of their numbers.
        target: How the texts of the targets mean values; None for classes.
    """

    columns: tuple[Column, ...]
    separator: str
    impute: bool
    na_values: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()
    target: NumberFormat | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Encoder":
        """Makes the encoder of which these are the plain values.

        Raises:
            UserError: They are not such values.
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
        """Returns plain values, which JSON can hold."""
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
        """Reads the text of a CSV file as that of the training was read.

        Raises:
            UserError: The file is no such table.
        """
        with told_of(f"{path}: "):
            return read_table(located_table(path), self.separator, self.na_values)

    def transform(self, table: "pd.DataFrame") -> Encoded:
        """Returns the inputs of a table as `read_table` gives it; it needs no target.

        Raises:
            UserError: The table lacks a column, or a value that it must have, has text where
                numbers are expected, or a column of categories none of which is known.
        """
        absent = [column.name for column in self.columns if column.name not in table.columns]
        if absent:
            raise UserError(
                f"the columns {listed([repr(name) for name in absent])} are missing; it has "
                f"{listed([repr(name) for name in table.columns])}."
            )
        encoded = [self._features(table[column.name], column) for column in self.columns]
        features = np.concatenate([one.inputs for one in encoded], axis=1)
        return Encoded(features, tuple(note for one in encoded for note in one.notes))

    def _features(self, texts: "pd.Series[str]", column: Column) -> Encoded:
        if not self.impute and (texts == "").any():
            place = f"{texts.index.name or 'line'} {texts.index[texts == ''][0]}"
            raise UserError(f"{place} has no value of {column.name!r}; expected one.")
        if column.categories is None:
            values = numbers(texts, column.number or NumberFormat())
            filled = values if column.fill is None else values.fillna(column.fill)
            return Encoded(np.asarray(filled, np.float64)[:, None], ())
        return _one_hot(texts, column)

    @property
    def are_numbers(self) -> NDArray[np.bool_]:
        """Which features are numbers, not one-hot, shape [features]."""
        widths = [len(column.feature_names) for column in self.columns]
        return np.repeat([column.categories is None for column in self.columns], widths)

    def fit_scale(self, inputs: NDArray[np.floating[Any]]) -> Scale:
        """Fits a scale that changes numbers alone to the inputs of the train split."""
        fitted, are_numbers = Scale.fit(inputs), self.are_numbers
        return Scale(
            np.where(are_numbers, fitted.mean, 0.0), np.where(are_numbers, fitted.deviation, 1.0)
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all features, in their order."""
        return tuple(name for column in self.columns for name in column.feature_names)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return tuple(map(_text, values))


def categories_of(texts: "pd.Series[str]") -> tuple[str, ...]:
    """Returns the categories of a column, sorted; whole numbers in one way, `1` for `1.0`."""
    return tuple(sorted(set(map(canonical, texts.unique()))))


def _one_hot(texts: "pd.Series[str]", column: Column) -> Encoded:
    import pandas as pd

    categories = column.categories or ()
    known = {text: canonical(text) for text in texts.unique()}
    codes = pd.Index(categories, dtype=object).get_indexer(pd.Index(texts.map(known), dtype=object))
    one_hot = (codes[:, None] == np.arange(len(categories))).astype(np.float64)
    unknown = texts[codes < 0]
    if unknown.empty:
        return Encoded(one_hot, ())
    named = listed([_described(text, n, categories) for text, n in _counts(unknown)], _MOST_NAMED)
    if not (codes[texts != ""] >= 0).any():
        raise UserError(
            f"{column.name!r} has no value that the training had, but {named}. Known: "
            f"{listed([shortened(category) for category in categories])}. Expected them as they "
            "were written for the training, capitals included."
        )
    note = (
        f"{column.name!r} has {len(unknown):,} of {len(texts):,} values that the training did not "
        f"have, and which count as none of its categories: {named}."
    )
    return Encoded(one_hot, (note,))


def _counts(texts: "pd.Series[str]") -> list[tuple[str, int]]:
    """Returns the different texts, the most frequent first."""
    counts = Counter(texts).items()
    return sorted(counts, key=lambda item: (-item[1], item[0]))


def _described(text: str, count: int, categories: Sequence[str]) -> str:
    """Names an unknown value, how often it occurs, and the category that it may be meant as."""
    near = _near(text, categories)
    hint = f"; the training had {shortened(near)}" if near else ""
    return f"{shortened(text) if text else 'a missing one'} ({count:,}{hint})"


def _near(text: str, categories: Sequence[str]) -> str | None:
    if len(text) > _LONGEST_COMPARED:
        return None
    by_fold = {category.casefold(): category for category in categories}
    close = difflib.get_close_matches(text.casefold(), by_fold, n=1, cutoff=0.8)
    return by_fold[close[0]] if close else None
