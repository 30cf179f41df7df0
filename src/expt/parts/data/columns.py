"""How the columns of a training's table become features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Column, Encoder, categories_of
from expt.parts.data.number_formats import NumberFormat, find_format, numbers
from expt.parts.data.reading import told_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_CATEGORIES = 100
_INDEX_NAMES = (
    "id",
    "idx",
    "index",
    "nr",
    "no",
    "number",
    "row",
    "rowid",
    "rownames",
    "unnamed: 0",
)


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
    trained = texts.iloc[train]
    if (trained == "").all():
        raise UserError(
            f"{name!r} has no value in the train split; leave it out: data.ignore=[{name}]."
        )
    advice = (
        f" Fix it, or leave the column out: data.ignore=[{name}]; if its values are names: "
        f"data.categorical=[{name}]."
    )
    with told_of(advice=advice):
        how = None if is_text else find_format(present, numbers_as.decimal, numbers_as.thousands)
        if how is not None:
            values = numbers(texts, how)
            fill = float(values.iloc[train].mean()) if impute else None
            return Column(name, fill=fill, number=how)
    num_values = present.nunique()
    if num_values > _MOST_CATEGORIES or num_values > len(texts) / 2:
        raise UserError(
            f"{name!r} has {num_values} different texts in {len(texts)} rows; expected at most "
            f"{_MOST_CATEGORIES}, and at most half as many as rows, since each becomes an "
            f"input. Leave the column out, data.ignore=[{name}], or group its values."
        )
    return Column(name, categories=categories_of(trained))


def check_indices(
    table: "pd.DataFrame", features: Sequence[str], categorical: Sequence[str]
) -> tuple[str, ...]:
    """Refuses columns that number the rows; notes those that may.

    Raises:
        UserError: A column rises by one from row to row and is called as an index is.
    """
    notes = []
    for name in features:
        if name in categorical or not _rises_by_one(table[name]):
            continue
        if name.lower().replace("_", "") in _INDEX_NAMES or name.lower().endswith(("_id", " id")):
            raise UserError(
                f"{name!r} numbers the rows from {table[name].iloc[0]} on, so that a model "
                f"could learn their order instead of their content; leave it out: "
                f"data.ignore=[{name}]. If it is a measurement, give it another name."
            )
        notes.append(
            f"{name!r} rises by one from row to row, as an index does; if it is one: "
            f"data.ignore=[{name}]."
        )
    return tuple(notes)


def _rises_by_one(texts: "pd.Series[str]") -> bool:
    """Whether a column numbers the rows of the file; rows may have been dropped."""
    if len(texts) < 3:
        return False
    values = NumberFormat().parse(texts)
    steps = np.diff(values)
    return bool((values[0] % 1 == 0) and (steps == 1).all())


def format_notes(encoder: Encoder) -> list[str]:
    """Says which columns of text were read as numbers, and how."""
    described = {
        column.name: column.number.describe() for column in encoder.columns if column.number
    }
    return [f"{name!r} is read as {how}." for name, how in described.items() if how]
