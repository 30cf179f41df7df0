"""How the columns of a table become inputs: numbers as they are, text as one-hot vectors."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.csv_files import located_table, read_table
from expt.parts.data.number_formats import NumberFormat, canonical, is_canonical, numbers
from expt.parts.data.reading import told_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5


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
        """Makes the column of which these are the plain values."""
        categories, number = mapping["categories"], mapping["number"]
        return cls(
            mapping["name"],
            None if categories is None else tuple(categories),
            mapping["fill"],
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
    """

    columns: tuple[Column, ...]
    separator: str
    impute: bool
    na_values: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Encoder":
        """Makes the encoder of which these are the plain values.

        Raises:
            UserError: They are not such values.
        """
        try:
            na_values = mapping["na_values"]
            return cls(
                tuple(map(Column.from_mapping, mapping["columns"])),
                str(mapping["separator"]),
                bool(mapping["impute"]),
                None if na_values is None else tuple(na_values),
                tuple(mapping["class_names"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"run.json is damaged: its data.preparation has no {error}.") from error

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values, which JSON can hold."""
        return {
            "kind": "table",
            "columns": [column.to_mapping() for column in self.columns],
            "separator": self.separator,
            "impute": self.impute,
            "na_values": None if self.na_values is None else list(self.na_values),
            "class_names": list(self.class_names),
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
                f"the columns {_listed(absent)} are missing; it has "
                f"{_listed(list(map(str, table.columns)), 12)}."
            )
        encoded = [self._features(table[column.name], column) for column in self.columns]
        features = np.concatenate([one.inputs for one in encoded], axis=1)
        return Encoded(features, tuple(note for one in encoded for note in one.notes))

    def _features(self, texts: "pd.Series[str]", column: Column) -> Encoded:
        if not self.impute and (texts == "").any():
            line = texts.index[texts == ""][0]
            raise UserError(f"line {line} has no value of {column.name!r}; expected one.")
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

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all features, in their order."""
        return tuple(name for column in self.columns for name in column.feature_names)

    def with_classes(self, class_names: Sequence[str]) -> "Encoder":
        """Returns the encoder of a run that learned these classes."""
        return replace(self, class_names=tuple(class_names))


def categories_of(texts: "pd.Series[str]") -> tuple[str, ...]:
    """Returns the categories of a column, sorted; numbers in one way, `1` for `1.0`.

    Numbers with leading zeros are names; where there are any, all stay as they are written.
    """
    found = set(texts)
    by_number = {canonical(text) for text in found}
    return tuple(sorted(by_number if _are_canonical(by_number) else found))


def _are_canonical(categories: set[str]) -> bool:
    present = categories - {""}
    return bool(present) and all(map(is_canonical, present))


def _one_hot(texts: "pd.Series[str]", column: Column) -> Encoded:
    import pandas as pd

    categories = column.categories or ()
    if _are_canonical(set(categories)):
        texts = texts.map({text: canonical(text) for text in texts.unique()})
    codes = pd.Index(categories, dtype=object).get_indexer(pd.Index(texts, dtype=object))
    one_hot = (codes[:, None] == np.arange(len(categories))).astype(np.float64)
    unknown = texts[codes < 0]
    if unknown.empty:
        return Encoded(one_hot, ())
    counts = unknown.value_counts()
    named = _listed([f"{text!r} ({count:,})" for text, count in counts.items()])
    near = _near(str(counts.index[0]), categories)
    if not (codes[texts != ""] >= 0).any():
        raise UserError(
            f"{column.name!r} has no value that the training had, but {named}. Known: "
            f"{_listed(list(map(repr, categories)))}. Expected them as they were written for the "
            "training, capitals included."
        )
    hint = f" (the training had {near!r})" if near else ""
    note = (
        f"{column.name!r} has {len(unknown):,} of {len(texts):,} values that the training did not "
        f"have, and which count as none of its categories: {named}{hint}."
    )
    return Encoded(one_hot, (note,))


def _near(text: str, categories: Sequence[str]) -> str | None:
    by_fold = {category.casefold(): category for category in categories}
    close = difflib.get_close_matches(text.casefold(), by_fold, n=1, cutoff=0.8)
    return by_fold[close[0]] if close else None


def _listed(texts: Sequence[str], most: int = _MOST_NAMED) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
