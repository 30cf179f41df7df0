"""The signature and the input example of an MLflow model."""

import datetime
import math
from typing import Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType
from numpy.typing import NDArray

from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.runs.record_base import Shape
from expt.runs.records import RunRecord
from expt.serving.arrays import preparation_of
from expt.serving.outputs import as_columns

_LARGEST_EXAMPLE = 10_000  # numbers in an example, which is stored as JSON text
_BOOLEANS = ("true", "false")


def is_served(record: RunRecord) -> bool:
    """Whether a saved model's outputs are predictions; models of earlier versions have others."""
    return record.model_outputs is not None


def make_signature(record: RunRecord) -> ModelSignature:
    """Returns the signature of a run's model.

    The inputs of a model for tables are the named columns. Models for other data have no inputs in
    their signature, because MLflow would then accept only one type of numbers and would identify
    the columns of a DataFrame by position; the model checks its inputs itself.
    """
    if record.model_outputs is None:
        return ModelSignature(_tensor(record, "input"), _tensor(record, "output"))
    preparation = preparation_of(record.to_mapping())
    inputs = None
    if preparation.get("kind") == "table":
        encoder = Encoder.from_mapping(preparation)
        inputs = Schema([_column(column, encoder) for column in encoder.columns])
    if record.data.task not in ("classification", "regression"):
        return ModelSignature(inputs, _tensor(record, "output"))
    # A dummy prediction, so that the columns are those which the served model returns.
    outputs = np.zeros((1, *_sizes(record.model_output_shape)), _dtype(record, "output"))
    columns = as_columns(record.data.to_mapping(), record.model_outputs.kind, outputs)
    return ModelSignature(
        inputs, Schema([ColSpec(_type(values), name) for name, values in columns.items()])
    )


def make_example(record: RunRecord) -> dict[str, Any] | list[Any] | None:
    """Returns one raw input, made from the recorded statistics of the training split.

    Numbers are the mean over the training split if that is recorded, else zero.

    Returns:
        `columns` and `data` of a DataFrame, or an array as nested lists; None if the model can't
        be served or the example would be large.
    """
    if not is_served(record):
        return None
    preparation = preparation_of(record.to_mapping())
    means = None if record.data.input_scale is None else record.data.input_scale.mean
    if preparation.get("kind") == "table":
        return _table_example(Encoder.from_mapping(preparation), means)
    shape = _sizes(record.model_input_shape)
    if math.prod(shape) > _LARGEST_EXAMPLE:
        return None
    trained_on = preparation.get("trained_on") or {}
    default = "uint8" if preparation.get("kind") == "image" else "float32"
    values = np.zeros((1, *shape), trained_on.get("dtype", default))
    if len(shape) == 1 and means is not None and values.dtype.kind == "f":
        values[:] = means
    names = record.data.feature_names
    data: list[Any] = values.tolist()
    return {"columns": names, "data": data} if names else data


def _sizes(shape: Shape | None) -> tuple[int, ...]:
    """Returns a recorded shape, all of whose sizes must be known."""
    sizes = tuple(size for size in shape or () if size is not None)
    assert len(sizes) == len(shape or ())
    return sizes


def _tensor(record: RunRecord, end: str) -> Schema | None:
    """Returns the schema of the model's `input` or `output`; None if its shape is not recorded."""
    # Runs of earlier versions recorded only the shape of the inputs.
    shape = getattr(record, f"model_{end}_shape")
    return None if shape is None else Schema([TensorSpec(_dtype(record, end), (-1, *shape))])


def _dtype(record: RunRecord, end: str) -> np.dtype[Any]:
    """Returns float64 if the model's values need it, else float32, which all models accept."""
    is_double = getattr(record, f"model_{end}_dtype") == "float64"
    return np.dtype(np.float64 if is_double else np.float32)


def _type(values: NDArray[Any]) -> DataType:
    if values.dtype.kind != "f":
        return DataType.string
    return DataType.double if values.dtype == np.float64 else DataType.float


def _column(column: Column, encoder: Encoder) -> ColSpec:
    """Returns the schema of a column: text if pandas reads all of its values as text, else any.

    MLflow does not convert types. But pandas reads whole numbers as int64, as float64 if there are
    fractions or missing values among them, and `TRUE` as a boolean; so no single type would do.
    """
    number = column.number
    has_unit = number is not None and bool(number.prefix or number.suffix)
    is_text = has_unit or all(map(_is_plain_text, column.categories or ("0",)))
    return ColSpec(DataType.string if is_text and not encoder.impute else AnyType(), column.name)


def _is_plain_text(category: str) -> bool:
    return NumberFormat().bare(category) is None and category.casefold() not in _BOOLEANS


def _table_example(encoder: Encoder, means: list[float] | None) -> dict[str, Any]:
    widths = [len(column.feature_names) for column in encoder.columns]
    firsts = np.cumsum([0, *widths[:-1]])
    row = [
        _example(column, 0.0 if means is None else means[first])
        for column, first in zip(encoder.columns, firsts, strict=True)
    ]
    return {"columns": [column.name for column in encoder.columns], "data": [row]}


def _example(column: Column, mean: float) -> str | float:
    """Returns a value of a column, formatted like those of the training data."""
    how = column.number
    if how is None:
        return (column.categories or ("",))[-1]  # the first one may stand for a missing value
    if how.kind == "time":
        return str(datetime.timedelta(seconds=round(mean))) if 0 <= mean < 86_400 else "0:00:00"
    if how.kind == "date":
        day = datetime.date(1970, 1, 1) + datetime.timedelta(days=round(mean))
        return day.isoformat()
    if how.prefix or how.suffix:
        return f"{how.prefix}{mean:.6g}{how.suffix}".replace(".", how.decimal)
    return float(f"{mean:.6g}")
