"""MLflow's pyfunc flavor of a run's model: raw values in, named predictions out.

MLflow imports this module from the model's own `code` folder, under a name of its own, so that a
model is served where expt is not installed.
"""

import importlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Encoder
from expt.serving.arrays import from_frame, preparation_of, prepare
from expt.serving.frames import as_text_table
from expt.serving.outputs import as_columns

if TYPE_CHECKING:
    import pandas as pd

MODEL_FILE, RECORD_FILE = "model.keras", "serving.json"
"""The files in the model's data folder: the network, and what is kept of run.json."""

_BATCH_SIZE = 256
_LOGGER = logging.getLogger("expt.serving")

Run = Any  # a Keras model: a function from inputs to outputs


def _load_pyfunc(path: str) -> "ServedModel":
    """Loads the model from its data folder; MLflow calls it by this name."""
    import keras

    record = json.loads((Path(path) / RECORD_FILE).read_text(encoding="utf-8"))
    for module in record["modules"]:
        _import(module)
    model = keras.saving.load_model(Path(path) / MODEL_FILE, compile=False, safe_mode=True)

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        outputs: NDArray[Any] = keras.ops.convert_to_numpy(model(inputs, training=False))
        return outputs if outputs.dtype == np.float64 else outputs.astype(np.float32)

    return ServedModel(record, run)


def _import(module: str) -> None:
    """Imports a module that registers layers, as training did."""
    from mlflow.exceptions import MlflowException

    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MlflowException.invalid_parameter_value(
            f"the model's layers are defined in {module}, which is not installed here ({error}). "
            "Install it, or add its folder to PYTHONPATH."
        ) from error


class ServedModel:
    """A model that prepares raw values as its training did, and names its predictions."""

    def __init__(self, record: Mapping[str, Any], run: Run) -> None:
        """Keeps what is needed.

        Args:
            record: `data`, `model_input_shape` and `model_outputs` of run.json.
            run: Maps a batch of inputs to outputs.
        """
        self._record, self._run = record, run
        self._shape = tuple(record["model_input_shape"])
        self._preparation = preparation_of(record)
        is_table = self._preparation.get("kind") == "table"
        self._encoder = Encoder.from_mapping(self._preparation) if is_table else None

    def predict(self, data: Any) -> Any:
        """Predicts for raw values.

        Args:
            data: For a table a DataFrame with its columns, in any order. For other data an array
                of any type of numbers, or a DataFrame with a column for each feature.

        Returns:
            For classes and values a DataFrame with the columns that `expt.predict` writes, on the
            index of a DataFrame given; for all else an array.

        Raises:
            MlflowException: The values are not such as the training had.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        if self._encoder is not None:
            data = _one_row_each(pd.DataFrame(data))
        try:
            inputs = self._inputs(data)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        outputs = np.concatenate([self._run(batch) for batch in _batches(inputs)])
        if self._record["data"]["task"] not in ("classification", "regression"):
            return outputs
        kind = self._record["model_outputs"]["kind"]
        index = data.index if isinstance(data, pd.DataFrame) else None
        return pd.DataFrame(as_columns(self._record["data"], kind, outputs), index=index)

    def _inputs(self, data: Any) -> NDArray[np.floating[Any]]:
        """Returns raw values as inputs; reports what a user should know of them."""
        import pandas as pd

        if self._encoder is not None:
            encoded = self._encoder.transform(as_text_table(data, self._encoder))
            for note in encoded.notes:
                _LOGGER.warning(note)
            return encoded.inputs
        if isinstance(data, pd.DataFrame):
            values = from_frame(data, self._record["data"].get("feature_names") or ())
        else:
            values = np.asarray(data)
        inputs = prepare(values, self._shape, self._preparation)
        if inputs.shape[1:] != self._shape:
            raise UserError(
                f"its inputs have the shape {inputs.shape}; the model takes (examples, "
                f"{', '.join(map(str, self._shape))})."
            )
        return inputs


def _one_row_each(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Returns a DataFrame with a row for each value of lists.

    MLflow makes one row of lists of JSON's {"inputs": {"a": ["x", "y"]}} if all are of texts.
    """
    are_lists = len(frame) == 1 and all(isinstance(value, list) for value in frame.iloc[0])
    return frame.explode(list(frame.columns), ignore_index=True) if are_lists else frame


def _batches(inputs: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (inputs[start : start + _BATCH_SIZE] for start in range(0, len(inputs), _BATCH_SIZE))
