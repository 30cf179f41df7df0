"""How the columns of a training's table become features."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Column, Encoder, categories_of
from expt.parts.data.names import alike_note, as_item
from expt.parts.data.number_formats import NumberFormat, check_exactness, numbers, shortened
from expt.parts.data.number_recognition import find_format
from expt.parts.data.reading import told_of

if TYPE_CHECKING:
    import pandas as pd

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
    """Finds how a column becomes features.

    Args:
        texts: The column, of all splits.
        train: The rows of the train split, whose values count.
        is_text: Whether numbers are names.
        impute: Whether numbers may be missing.
        numbers_as: How the config says that numbers are written.

    Raises:
        UserError: The column has no values, or texts of which it is not certain what they mean.
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
    with told_of(advice=advice):
        how = None if is_text else find_format(present, numbers_as.decimal, numbers_as.thousands)
        if how is not None:
            check_exactness(texts, how)
            values = numbers(texts, how)
            fill = float(values.iloc[train].mean()) if impute else None
            return Column(name, fill=fill, number=how)
    num_values = present.nunique()
    if num_values > _MOST_CATEGORIES or num_values > len(texts) / 2:
        raise UserError(
            f"{name!r} has {num_values} different texts in {len(texts)} rows; expected at most "
            f"{_MOST_CATEGORIES}, and at most half as many as rows, since each becomes an "
            f"input. Leave the column out, data.ignore=[{item}], or group its values."
        )
    return Column(name, categories=categories_of(trained))


def check_indices(
    table: "pd.DataFrame", features: Sequence[str], categorical: Sequence[str]
) -> list[str]:
    """Refuses columns that number the rows; notes those that may.

    Args:
        table: All rows of the file.
        features: The columns that are to be inputs.
        categorical: Those whose numbers are names.

    Raises:
        UserError: A column is called as an index is, and its whole numbers rise from row to row.
    """
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
                f"{table.index[0]}, so that a model could learn their order instead of their "
                f"content; leave it out: data.ignore=[{as_item(name)}]. If it is a measurement, "
                "give the column another name."
            )
        if (steps == 1).all():
            what = "rises by one from row to row, as an index does"
        elif are_unique and _is_index_name(name):
            what = "has another whole number on every row, as an identifier has"
        else:
            continue
        notes.append(f"{name!r} {what}; if it is one: data.ignore=[{as_item(name)}].")
    return notes


def _is_index_name(name: str) -> bool:
    return bool(_INDEX.search(name.replace("_", " ")) or _CAMEL_CASE_ID.search(name))


def column_notes(
    table: "pd.DataFrame", encoder: Encoder, categorical: Sequence[str]
) -> Iterator[str]:
    """Says which columns were read in a way that may not be meant."""
    for column in encoder.columns:
        name = column.name
        if column.number is not None:
            if how := column.number.describe():
                yield f"{name!r} is read as {how}."
            zeros = next(filter(_LEADING_ZEROS.match, table[name]), None)
            if column.number.kind == "number" and zeros is not None:
                yield (
                    f"{name!r} is read as numbers, of which some have leading zeros, such as "
                    f"{shortened(zeros)}; if they are names: data.categorical=[{as_item(name)}]."
                )
            continue
        categories = [category for category in column.categories or () if category]
        if note := alike_note(categories, f"categories of {name!r}"):
            yield note
        if name not in categorical and _differ_in_numbers_alone(categories):
            yield (
                f"{name!r} has {len(categories)} categories that differ in their numbers alone, "
                f"such as {shortened(categories[0])}; if the numbers are values, write them without"
                " the text."
            )


def _differ_in_numbers_alone(categories: Sequence[str]) -> bool:
    if len(categories) <= _MOST_PLAIN_NAMES:
        return False
    patterns = Counter(re.sub(r"\d+([.,:]\d+)*", "0", category) for category in categories)
    pattern, count = patterns.most_common(1)[0]
    return "0" in pattern and count >= _MOSTLY * len(categories)
