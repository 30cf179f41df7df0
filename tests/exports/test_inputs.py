from typing import Any

import pytest

from expt.exports.inputs import describe_inputs
from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.runs.record_parts import DataRecord

COLUMNS = (Column("size", number=NumberFormat()), Column("on", categories=("no", "yes")))
TABLE = Encoder(COLUMNS, separator=",", impute=False).to_mapping()


@pytest.mark.parametrize(
    ("preparation", "shape", "words"),
    [
        (TABLE, [3], "the columns size, on=no, on=yes, in this order; 1 or 0 for a=b"),
        ({"kind": "image"}, [8, 8, 3], "pixels of 8 x 8 x 3 divided by 255"),
        ({"kind": "array", "divisor": 16.0}, [8, 8, 1], "values of 8 x 8 x 1 divided by 16"),
        ({"kind": "array", "divisor": 1.0}, [4], "values of 4 as they are"),
        (None, [4], "values of 4 as they are"),
    ],
)
def test_inputs_are_described(preparation: Any, shape: list[int], words: str) -> None:
    assert describe_inputs(DataRecord(preparation=preparation, input_shape=shape)) == words
