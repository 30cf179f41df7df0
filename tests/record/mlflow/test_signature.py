"""The signature and the input example of models, for all kinds of data."""

from typing import Any

import numpy as np
import pytest
from mlflow.types.schema import AnyType

from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.record.mlflow.signature import make_example, make_signature
from expt.runs.records import RunRecord
from expt.serving.frames import as_text_table

PLAIN = NumberFormat()


def record(shape: list[int], preparation: Any, **data: Any) -> RunRecord:
    content = {
        "model_input_shape": shape,
        "model_output_shape": data.pop("output_shape", [1]),
        "model_output_dtype": data.pop("dtype", "float32"),
        "model_outputs": {"kind": data.pop("kind", "value"), "link": None},
        "data": {
            "task": "regression",
            "class_names": [],
            "input_shape": data.pop("input_shape", shape),
            "input_scale": None,
            "preparation": preparation,
            **data,
        },
    }
    return RunRecord.of(content)


def types(*columns: Column, impute: bool = False) -> list[str]:
    encoder = Encoder(columns, ",", impute).to_mapping()
    width = sum(len(column.feature_names) for column in columns)
    inputs = make_signature(record([width], encoder)).inputs
    assert [column.name for column in inputs.inputs] == [column.name for column in columns]
    assert all(column.required for column in inputs.inputs)
    return [
        "any" if isinstance(column.type, AnyType) else column.type.name for column in inputs.inputs
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("a", categories=("blue", "red")), "string"),
        (Column("a", categories=("7", "x")), "any"),  # pandas may read integers
        (Column("a", categories=("TRUE", "x")), "any"),  # or booleans
        (Column("a", number=NumberFormat(suffix="%")), "string"),
        (Column("a", number=PLAIN), "any"),  # integers or floats
        (Column("a", number=NumberFormat("date")), "any"),  # or timestamps
    ],
    ids=lambda value: str(value)[:60],
)
def test_column_has_a_type_if_pandas_reads_it_as_only_one(column: Column, expected: str) -> None:
    assert types(column) == [expected]
    filled = Column("a", column.categories, 0.0 if column.number else None, column.number)
    assert types(filled, impute=True) == ["any"]


def test_outputs_have_names_and_the_type_of_the_model() -> None:
    classes = {"task": "classification", "class_names": ["b", "a"], "output_shape": [2]}
    given = record([4], None, **classes, kind="score")
    outputs = make_signature(given).outputs
    assert {column.name: column.type.name for column in outputs.inputs} == {
        "class": "string",
        "score b": "float",
        "score a": "float",
    }
    outputs = make_signature(record([4], None, output_shape=[2], dtype="float64")).outputs
    assert {column.name: column.type.name for column in outputs.inputs} == {
        "value 0": "double",
        "value 1": "double",
    }
    (images,) = make_signature(
        record([2, 2, 1], None, task="reconstruction", output_shape=[2, 2, 1])
    ).outputs.inputs
    assert (images.shape, images.type) == ((-1, 2, 2, 1), np.float32)


def test_example_of_a_table_is_formatted_like_the_training_data() -> None:
    encoder = Encoder(
        (
            Column("size", number=PLAIN),
            Column("colour", categories=("", "red")),
            Column("share", number=NumberFormat(suffix="%", decimal=",")),
            Column("day", number=NumberFormat("date")),
            Column("at", number=NumberFormat("time")),
        ),
        ",",
        impute=True,
    )
    scale = {"mean": [1.23456789, 0, 0, 52.5, 18_262.2, 3_690.0], "deviation": [1] * 6}
    example = make_example(record([6], encoder.to_mapping(), input_scale=scale))
    assert example == {
        "columns": ["size", "colour", "share", "day", "at"],
        "data": [[1.23457, "red", "52,5%", "2020-01-01", "1:01:30"]],
    }
    import pandas as pd

    frame = pd.DataFrame(example["data"], columns=example["columns"])
    (inputs,) = encoder.transform(as_text_table(frame, encoder)).inputs
    assert inputs.tolist() == [1.23457, 0, 1, 52.5, 18_262, 3_690]
    unknown = make_example(record([6], encoder.to_mapping()))
    assert isinstance(unknown, dict)
    assert unknown["data"] == [[0.0, "red", "0%", "1970-01-01", "0:00:00"]]


def test_example_of_an_array_has_its_shape_and_names() -> None:
    pixels = {"kind": "array", "divisor": 255.0, "trained_on": {"dtype": "uint8"}}
    assert make_example(record([1, 2, 1], pixels)) == [[[[0], [0]]]]
    assert make_example(record([1, 1, 3], {"kind": "image"})) == [[[[0, 0, 0]]]]
    assert make_example(record([200, 200, 3], pixels)) is None
    scale = {"mean": [1.5, 20.0], "deviation": [1, 1]}
    named = record([2], None, feature_names=["length", "width"], input_scale=scale)
    assert make_example(named) == {"columns": ["length", "width"], "data": [[1.5, 20.0]]}
    assert make_example(record([2], None)) == [[0.0, 0.0]]
    generator = record([2], pixels, task="generation", input_shape=[1, 2, 1])
    assert make_example(generator) == [[0.0, 0.0]]


def test_signature_of_a_run_of_an_earlier_version() -> None:
    old = record([4], None).updated({"model_outputs": None})
    signature = make_signature(old)
    assert signature.inputs.inputs[0].shape == (-1, 4)
    assert make_example(old) is None
    older = old.updated({"model_output_shape": None})
    assert make_signature(older).outputs is None
