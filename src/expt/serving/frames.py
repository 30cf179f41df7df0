"""Conversion of a DataFrame to a table of texts, the form in which training reads a CSV file.

The encoder of the training is then applied unchanged, so that served and training values agree.
"""

import datetime
import decimal
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from expt.errors import UserError
from expt.parts.data.csv_files import is_missing, normalize_text
from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.names import join_names
from expt.parts.data.number_formats import NumberFormat, quote_shortened, to_canonical

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = NumberFormat()


def as_text_table(frame: "pd.DataFrame", encoder: Encoder) -> "pd.DataFrame":
    """Returns the columns that an encoder needs as `read_table` would read them from a CSV file.

    Numbers are written with the column's decimal separator. In a column with a unit they get none,
    so that the encoder refuses them: whether 0.5 means 50 % is ambiguous. In a column of
    categories, a number or boolean becomes the category with the same meaning, since pandas reads
    `007` as 7 and `TRUE` as True.

    Args:
        frame: A DataFrame with at least the encoder's columns, in any order.
        encoder: The encoder of the training table.

    Returns:
        A table of texts, whose index counts rows from 1.

    Raises:
        UserError: There are no rows, a value is of an unsupported type, or it may be any of several
            categories.
    """
    import pandas as pd  # not at the top: only a model of a table needs it

    if not len(frame):
        raise UserError("there are no rows; expected at least one.")
    named = None if encoder.na_values is None else {normalize_text(v) for v in encoder.na_values}
    columns = {
        column.name: _texts(frame[column.name].tolist(), column, named)
        for column in encoder.columns
        if column.name in frame.columns
    }
    # Rows are counted from 1, as messages about a value of a file name its line.
    rows = pd.RangeIndex(1, len(frame) + 1, name="row")
    return pd.DataFrame(columns, index=rows, dtype=object).astype("str")


def _texts(values: Sequence[Any], column: Column, na_values: set[str] | None) -> list[str]:
    return [_text(value, column, na_values) for value in values]


def _text(value: Any, column: Column, na_values: set[str] | None) -> str:
    # NumPy's booleans and integers are no instances of bool and int.
    if isinstance(value, np.bool_ | np.number):
        value = value.item()
    if isinstance(value, str):
        text = normalize_text(value)
        return "" if is_missing(text, na_values) else text
    if _is_blank(value):
        return _blank(column)
    if isinstance(value, bool | int | float | decimal.Decimal):
        return _number(value, column) if column.categories is None else _category(value, column)
    # Before date, of which datetime is a subclass; pandas' Timestamp is a datetime.
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise UserError(
        f"{column.name!r} has a value of the type {type(value).__name__}; expected a text, a "
        "number, a boolean or a date."
    )


def _is_blank(value: Any) -> bool:
    """Whether a value is missing: None, pandas' NA or NaT, or NaN."""
    import pandas as pd

    is_nan = isinstance(value, float | decimal.Decimal) and value != value
    return value is None or value is pd.NA or value is pd.NaT or is_nan


def _blank(column: Column) -> str:
    """Returns the text of a missing value.

    Raises:
        UserError: A category, such as `NA`, is a text that pandas reads as missing.
    """
    blank = [text for text in column.categories or () if text and is_missing(text, None)]
    if blank:
        raise UserError(
            f"{column.name!r} lacks a value, which may be the category "
            f"{quote_shortened(blank[0])} that "
            "pandas read as missing; expected texts (pandas.read_csv(…, keep_default_na=False))."
        )
    return ""


def _number(value: bool | float | decimal.Decimal, column: Column) -> str:
    separator = (column.number or _PLAIN).decimal
    return str(value).replace(".", separator)


def _category(value: bool | float | decimal.Decimal, column: Column) -> str:
    """Returns the category that a boolean or number means, or its own text if there is none."""
    categories = column.categories or ()
    if isinstance(value, bool):
        # pandas reads true, True and TRUE as booleans.
        meant = [text for text in categories if text.casefold() == str(value).casefold()]
    else:
        meant = [text for text in categories if _PLAIN.value(text) == float(value)]
    if len(meant) > 1:
        raise UserError(
            f"{column.name!r} has the {type(value).__name__} {value}, which may be any of the "
            f"categories {join_names([quote_shortened(text) for text in meant])}; expected texts."
        )
    return meant[0] if meant else to_canonical(_exact(value))


def _exact(value: bool | float | decimal.Decimal) -> str:
    # pandas reads whole numbers as floats in a column that lacks values.
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
    return str(int(value)) if is_whole else str(value)
