"""MLflow's pyfunc flavor of a run's model, which maps raw values to named predictions.

MLflow imports this module from the `code` folder of the model, under another name, so that models
can be served where expt is not installed.
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
"""Files in the model's data folder: the network, and the part of run.json that serving needs."""

_BATCH_SIZE = 256
_LOGGER = logging.getLogger("expt.serving")

Run = Any  # a Keras model: a function from inputs to outputs


def _load_pyfunc(path: str) -> "ServedModel":
    """Loads the model from its data folder; the name is MLflow's."""
    # Not at the top, since record.mlflow imports this module in processes without TensorFlow.
    import keras

    record = json.loads((Path(path) / RECORD_FILE).read_text(encoding="utf-8"))
    # Custom layers are registered by importing their modules, which Keras does not do.
    for module in record["modules"]:
        _import(module)
    model = keras.saving.load_model(Path(path) / MODEL_FILE, compile=False, safe_mode=True)

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        outputs: NDArray[Any] = keras.ops.convert_to_numpy(model(inputs, training=False))
        return outputs if outputs.dtype == np.float64 else outputs.astype(np.float32)

    return ServedModel(record, run)


def _import(module: str) -> None:
    """Imports a module that registers custom layers.

    Raises:
        MlflowException: The module is not installed.
    """
    from mlflow.exceptions import MlflowException

    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MlflowException.invalid_parameter_value(
            f"the model's layers are defined in {module}, which is not installed here ({error}). "
            "Install it, or add its folder to PYTHONPATH."
        ) from error


class ServedModel:
    """A model that prepares raw values as in training, and names its predictions."""

    def __init__(self, record: Mapping[str, Any], run: Run) -> None:
        """Creates the model.

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
            data: For a model of a table, a DataFrame with its columns in any order. For other
                models, an array of numbers of any type, or a DataFrame with a column per feature.

        Returns:
            For classification and regression, a DataFrame with the columns that `expt.predict`
            writes and the index of `data`, if it has one; for other tasks an array.

        Raises:
            MlflowException: The values do not have the form of the training data.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        if self._encoder is not None:
            data = _one_row_each(pd.DataFrame(data))
        try:
            inputs = self._inputs(data)
        # MLflow's server answers this exception with its own message, and any other error with a
        # general one and a traceback.
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        outputs = np.concatenate([self._run(batch) for batch in _batches(inputs)])
        if self._record["data"]["task"] not in ("classification", "regression"):
            return outputs
        kind = self._record["model_outputs"]["kind"]
        index = data.index if isinstance(data, pd.DataFrame) else None
        return pd.DataFrame(as_columns(self._record["data"], kind, outputs), index=index)

    def _inputs(self, data: Any) -> NDArray[np.floating[Any]]:
        """Converts raw values to inputs, and logs notes on them as warnings."""
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
                f"its inputs have the shape {inputs.shape}; the model expects (examples, "
                f"{', '.join(map(str, self._shape))})."
            )
        return inputs


def _one_row_each(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Returns a DataFrame with one row per value where a single row holds lists.

    MLflow turns the JSON {"inputs": {"a": ["x", "y"]}} into one row of lists if all values are
    texts.
    """
    are_lists = len(frame) == 1 and all(isinstance(value, list) for value in frame.iloc[0])
    return frame.explode(list(frame.columns), ignore_index=True) if are_lists else frame


# Batches bound the memory of a request, whatever its size.
def _batches(inputs: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (inputs[start : start + _BATCH_SIZE] for start in range(0, len(inputs), _BATCH_SIZE))
