"""A DataFrame's columns as the texts of a table, which is what training read."""

import datetime
import decimal
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from expt.errors import UserError
from expt.parts.data.csv_files import is_missing, normalized
from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.names import listed
from expt.parts.data.number_formats import NumberFormat, canonical, shortened

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = NumberFormat()


def as_text_table(frame: "pd.DataFrame", encoder: Encoder) -> "pd.DataFrame":
    """Returns the columns that an encoder needs as `read_table` would read them from a CSV file.

    Numbers are written as the column's texts are, with its decimal separator. A number in a column
    whose numbers have a unit is not: whether 0.5 is 50 % is not certain. In a column of categories,
    a number or a boolean is the category that means it, since pandas reads `007` as 7 and `TRUE` as
    True.

    Args:
        frame: Has at least the encoder's columns, in any order.
        encoder: Of the training's table.

    Returns:
        The table; its index counts rows from 1.

    Raises:
        UserError: A value is of no type that a table has, or may be any of several categories.
    """
    import pandas as pd

    if not len(frame):
        raise UserError("there are no rows; expected at least one.")
    named = None if encoder.na_values is None else {normalized(v) for v in encoder.na_values}
    columns = {
        column.name: _texts(frame[column.name].tolist(), column, named)
        for column in encoder.columns
        if column.name in frame.columns
    }
    rows = pd.RangeIndex(1, len(frame) + 1, name="row")
    return pd.DataFrame(columns, index=rows, dtype=object).astype("str")


def _texts(values: Sequence[Any], column: Column, na_values: set[str] | None) -> list[str]:
    return [_text(value, column, na_values) for value in values]


def _text(value: Any, column: Column, na_values: set[str] | None) -> str:
    if isinstance(value, np.bool_ | np.number):
        value = value.item()
    if isinstance(value, str):
        text = normalized(value)
        return "" if is_missing(text, na_values) else text
    if _is_blank(value):
        return _blank(column)
    if isinstance(value, bool | int | float | decimal.Decimal):
        return _number(value, column) if column.categories is None else _category(value, column)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise UserError(
        f"{column.name!r} has a value of the type {type(value).__name__}; expected a text, a "
        "number, a boolean or a date."
    )


def _is_blank(value: Any) -> bool:
    """Whether a value is missing: None, pandas' NA and NaT, or not a number."""
    import pandas as pd

    is_nan = isinstance(value, float | decimal.Decimal) and value != value
    return value is None or value is pd.NA or value is pd.NaT or is_nan


def _blank(column: Column) -> str:
    """Returns the missing text, unless pandas may have read a category as missing."""
    blank = [text for text in column.categories or () if text and is_missing(text, None)]
    if blank:
        raise UserError(
            f"{column.name!r} lacks a value, which may be the category {shortened(blank[0])} as "
            "pandas reads it; expected texts (pandas.read_csv(…, keep_default_na=False))."
        )
    return ""


def _number(value: bool | float | decimal.Decimal, column: Column) -> str:
    separator = (column.number or _PLAIN).decimal
    return str(value).replace(".", separator)


def _category(value: bool | float | decimal.Decimal, column: Column) -> str:
    """Returns the category that a boolean or a number means; its own text if there is none."""
    categories = column.categories or ()
    if isinstance(value, bool):
        meant = [text for text in categories if text.casefold() == str(value).casefold()]
    else:
        meant = [text for text in categories if _PLAIN.value(text) == float(value)]
    if len(meant) > 1:
        raise UserError(
            f"{column.name!r} has the {type(value).__name__} {value}, which may be any of the "
            f"categories {listed([shortened(text) for text in meant])}; expected texts."
        )
    return meant[0] if meant else canonical(_exact(value))


def _exact(value: bool | float | decimal.Decimal) -> str:
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
    return str(int(value)) if is_whole else str(value)
