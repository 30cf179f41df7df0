"""Fits the encoding of table columns, and finds columns that are unsuitable as inputs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Column, Encoder, categories_of
from expt.parts.data.names import as_item, similar_names_note
from expt.parts.data.number_formats import (
    NumberFormat,
    check_exactness,
    parse_numbers,
    quote_shortened,
)
from expt.parts.data.number_recognition import find_format
from expt.parts.data.reading import error_context

if TYPE_CHECKING:
    import pandas as pd

# Beyond these limits, a column probably contains names or free text, not categories.
_MOST_CATEGORIES = 100
_MOST_PLAIN_NAMES = 10
_MOSTLY = 0.9
_INDEX = re.compile(
    r"^(id|idx|index|nr|no|number|row|row ?id|row ?names|s\.? ?no\.?|level 0|#|№)$|[ ]id$",
    re.IGNORECASE,
)
_CAMEL_CASE_ID = re.compile(r"[a-z](Id|ID)$")
_LEADING_ZEROS = re.compile(r"[+-]?0\d", re.ASCII)
_WRITTEN_BY_PANDAS = re.compile(r"Unnamed: \d+(\.\d+)?")


def fit_column(
    texts: "pd.Series[str]",
    train: NDArray[np.intp],
    *,
    is_text: bool,
    impute: bool,
    numbers_as: NumberFormat,
) -> Column:
    """Fits the encoding of a column.

    Args:
        texts: The column, in all splits.
        train: The rows of the train split, which define categories and means.
        is_text: Whether the values are categories even if they look like numbers.
        impute: Whether numbers may be missing.
        numbers_as: The decimal and thousands separators of the config.

    Raises:
        UserError: The column has no values in the train split or too many categories, or its texts
            are ambiguous.
    """
    name, present = str(texts.name), texts[texts != ""]
    item = as_item(name)
    trained = texts.iloc[train]
    if (trained == "").all():
        raise UserError(
            f"{name!r} has no value in the train split; leave it out: data.ignore=[{item}]."
        )
    advice = (
        f" Fix it, or leave the column out: data.ignore=[{item}]; if its values are names: "
        f"data.categorical=[{item}]."
    )
    with error_context(advice=advice):
        # All splits decide the format; otherwise a text in the test split would be an error later.
        how = None if is_text else find_format(present, numbers_as.decimal, numbers_as.thousands)
        if how is not None:
            check_exactness(texts, how)
            values = parse_numbers(texts, how)
            fill = float(values.iloc[train].mean()) if impute else None
            return Column(name, fill=fill, number=how)
    # Each category is an input: with hundreds of names, the model would memorize the rows.
    num_values = present.nunique()
    if num_values > _MOST_CATEGORIES or num_values > len(texts) / 2:
        raise UserError(
            f"{name!r} has {num_values} different texts in {len(texts)} rows; expected at most "
            f"{_MOST_CATEGORIES}, and at most half the number of rows, since each becomes an "
            f"input. Leave the column out, data.ignore=[{item}], or group its values."
        )
    return Column(name, categories=categories_of(trained))


def check_indices(
    table: "pd.DataFrame", features: Sequence[str], categorical: Sequence[str]
) -> list[str]:
    """Rejects columns that number the rows, and returns notes on columns that may number them.

    Args:
        table: All rows of the file.
        features: The columns that become inputs.
        categorical: The columns whose values are categories even if they look like numbers.

    Raises:
        UserError: A column has whole numbers that are increasing or decreasing under the name of an
            index, or all different under a name that pandas gives to an index.
    """
    # Files are often sorted by class: a row number then predicts the target, but only in this file.
    notes = []
    for name in features:
        values = NumberFormat().parse(table[name])
        if name in categorical or len(values) < 3 or not (values % 1 == 0).all():
            continue
        steps, are_unique = np.diff(values), len(np.unique(values)) == len(values)
        is_sorted = bool((steps > 0).all() or (steps < 0).all())
        by_pandas = _WRITTEN_BY_PANDAS.fullmatch(name) is not None
        if (is_sorted and _is_index_name(name)) or (are_unique and by_pandas):
            raise UserError(
                f"{name!r} numbers the rows, from {table[name].iloc[0]} on line "
                f"{table.index[0]}: a model could learn the order of the rows instead of their "
                f"content. Leave it out: data.ignore=[{as_item(name)}]. If it is a measurement, "
                "rename the column."
            )
        if (steps == 1).all():
            what = "increases by one from row to row, like an index"
        elif are_unique and _is_index_name(name):
            what = "has a different whole number in every row, like an identifier"
        else:
            continue
        notes.append(f"{name!r} {what}; to leave it out: data.ignore=[{as_item(name)}].")
    return notes


def _is_index_name(name: str) -> bool:
    return bool(_INDEX.search(name.replace("_", " ")) or _CAMEL_CASE_ID.search(name))


def column_notes(
    table: "pd.DataFrame", encoder: Encoder, categorical: Sequence[str]
) -> Iterator[str]:
    """Yields notes on columns that may have been read differently than the user intended."""
    for column in encoder.columns:
        name = column.name
        if column.number is not None:
            if how := column.number.describe():
                yield f"{name!r} is read as {how}."
            zeros = next(filter(_LEADING_ZEROS.match, table[name]), None)
            if column.number.kind == "number" and zeros is not None:
                yield (
                    f"{name!r} is read as numbers, but some have leading zeros, such as "
                    f"{quote_shortened(zeros)}; if they are names: "
                    f"data.categorical=[{as_item(name)}]."
                )
            continue
        categories = [category for category in column.categories or () if category]
        if note := similar_names_note(categories, f"categories of {name!r}"):
            yield note
        if name not in categorical and _differ_in_numbers_alone(categories):
            yield (
                f"{name!r} has {len(categories)} categories that differ only in their numbers, "
                f"such as {quote_shortened(categories[0])}; if the numbers are values, remove the "
                "text around them."
            )


def _differ_in_numbers_alone(categories: Sequence[str]) -> bool:
    # A few, such as `level 1` to `level 5`, are plausible categories.
    if len(categories) <= _MOST_PLAIN_NAMES:
        return False
    patterns = Counter(re.sub(r"\d+([.,:]\d+)*", "0", category) for category in categories)
    pattern, count = patterns.most_common(1)[0]
    return "0" in pattern and count >= _MOSTLY * len(categories)
