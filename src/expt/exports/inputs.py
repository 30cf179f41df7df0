"""Description of the inputs that an exported model expects.

The preparation of raw data is not part of an exported model, so users must do it themselves.
"""

import math

from expt.parts.data.encoding import Encoder
from expt.runs.record_parts import DataRecord

_MOST_NAMED = 8


def describe_inputs(data: DataRecord) -> str:
    """Describes the inputs of a run's model, from the record of its data in run.json."""
    preparation = data.preparation or {}
    kind, divisor = preparation.get("kind"), preparation.get("divisor", 1.0)
    if kind == "table":
        encoder = Encoder.from_mapping(preparation)
        names = encoder.feature_names
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        text = f"the columns {', '.join(names[:_MOST_NAMED])}{more}, in this order"
        # One-hot columns are named such as `color=red`.
        return text if encoder.are_numbers.all() else f"{text}; 1 or 0 for a=b"
    shape = " x ".join(map(str, data.input_shape))
    if kind == "image":
        return f"pixels of {shape} divided by 255"
    if kind == "array" and divisor != 1:
        return f"values of {shape} divided by {divisor:g}"
    numbers = "value" if math.prod(data.input_shape) == 1 else "values"
    return f"{numbers} of {shape} as they are"
