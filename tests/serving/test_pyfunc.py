"""A served model maps raw values to named predictions; here, the network is a function."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from expt.parts.data.encoding import Column, Encoder
from expt.parts.data.number_formats import NumberFormat
from expt.parts.data.preparation import BYTES, ArrayPreparation, summarize
from expt.serving.pyfunc import ServedModel

TABLE = Encoder(
    (Column("size", number=NumberFormat()), Column("kind", categories=("a", "b"))),
    ";",
    impute=False,
)
FRAME = pd.DataFrame({"kind": ["b", "a", "a"], "size": [3, 1, 2]}, index=[7, 5, 9])
PIXELS = np.random.default_rng(0).integers(0, 256, (300, 2, 3, 1), np.uint8)


def record(
    shape: tuple[int, ...], preparation: Any = None, task: str = "regression", **data: Any
) -> dict[str, Any]:
    return {
        "model_input_shape": list(shape),
        "model_outputs": {"kind": data.pop("kind", "value"), "link": None},
        "data": {
            "task": task,
            "class_names": ["no", "yes"] if task == "classification" else [],
            "input_shape": list(shape),
            "preparation": preparation,
            **data,
        },
    }


def inputs_of(given: dict[str, Any], values: Any) -> NDArray[Any]:
    """Returns the inputs of the network for some values."""
    predicted: pd.DataFrame = ServedModel(given, lambda inputs: inputs).predict(values)
    return predicted.to_numpy().reshape(-1, *given["model_input_shape"])


def test_table_columns_are_matched_by_name() -> None:
    expected = [[3, 0, 1], [1, 1, 0], [2, 1, 0]]
    of_table = record((3,), TABLE.to_mapping())
    assert inputs_of(of_table, FRAME).tolist() == expected
    more = FRAME.assign(other="x")[["other", "size", "kind"]]
    assert inputs_of(of_table, more).tolist() == expected
    assert inputs_of(of_table, FRAME.to_dict("list")).tolist() == expected
    # The form that MLflow makes of JSON lists of texts.
    one_row = pd.DataFrame([{"kind": ["b", "a", "a"], "size": ["3", "1", "2"]}])
    assert inputs_of(of_table, one_row).tolist() == expected


def test_class_predictions_keep_the_index_of_the_frame() -> None:
    given = record((3,), TABLE.to_mapping(), "classification", kind="score")
    predicted = ServedModel(given, lambda inputs: inputs[:, 1:]).predict(FRAME)
    expected = {"class": ["yes", "no", "no"], "score no": [0.0, 1, 1], "score yes": [1.0, 0, 0]}
    pd.testing.assert_frame_equal(predicted, pd.DataFrame(expected, FRAME.index), check_dtype=False)


def test_unknown_categories_are_logged_and_errors_are_mlflow_exceptions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    of_table = record((3,), TABLE.to_mapping())
    with caplog.at_level(logging.WARNING):
        assert inputs_of(of_table, FRAME.replace("b", "c"))[0].tolist() == [3, 0, 0]
    assert "'kind' has 1 of 3 values that did not occur in training" in caplog.text
    with pytest.raises(MlflowException, match="'kind' has no value that occurred") as caught:
        inputs_of(of_table, FRAME[:1].replace("b", "c"))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("preparation", [BYTES.to_mapping(), {"kind": "image"}], ids=str)
@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS[..., 0],
        PIXELS.astype(np.int64),
        PIXELS.astype(np.float64),
        PIXELS.tolist(),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
    ],
    ids=["uint8", "no-channels", "int64", "float64", "lists", "fractions", "float32"],
)
def test_pixels_of_any_type_are_prepared_as_in_training(given: Any, preparation: Any) -> None:
    inputs = inputs_of(record((2, 3, 1), preparation), given)
    np.testing.assert_allclose(inputs, PIXELS / 255, rtol=1e-6)


def test_invalid_arrays_are_refused() -> None:
    of_pixels = record((2, 3, 1), BYTES.to_mapping())
    with pytest.raises(
        MlflowException, match=r"have the shape \(300, 3, 2, 1\); the model expects"
    ):
        inputs_of(of_pixels, PIXELS.reshape(-1, 3, 2, 1))
    with pytest.raises(MlflowException, match="its inputs are int64 from -1 to"):
        inputs_of(of_pixels, PIXELS.astype(np.int64) - 1)
    with pytest.raises(MlflowException, match="have the type <U1; expected numbers"):
        inputs_of(of_pixels, np.full((1, 2, 3, 1), "x"))


def test_features_are_matched_by_name() -> None:
    values = np.array([[1.5, 20.0], [2.5, 10.0]])
    trained = ArrayPreparation(1.0, summarize(values)).to_mapping()
    named = record((2,), trained, feature_names=["length", "width"])
    unnamed = record((2,), trained)
    frame = pd.DataFrame(values, columns=["length", "width"])
    for given in (
        inputs_of(named, values),
        inputs_of(named, frame[["width", "length"]].assign(other=0)),
        inputs_of(named, pd.DataFrame(values)),
        inputs_of(unnamed, frame),
        inputs_of(unnamed, values.tolist()),
    ):
        np.testing.assert_array_equal(given, values)
    with pytest.raises(MlflowException, match=r"'a', 'width' are not the features, which are "):
        inputs_of(named, frame.rename(columns={"length": "a"}))
    with pytest.raises(MlflowException, match=r"are called '1.5', '20.0', which look like values"):
        inputs_of(unnamed, pd.DataFrame([[2.5, 10.0]], columns=["1.5", "20.0"]))
    with pytest.raises(MlflowException, match="have the type object; expected numbers"):
        inputs_of(unnamed, pd.DataFrame({"a": ["x"], "b": [1]}))


def test_noise_vectors_are_not_prepared_as_pixels() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    given = record((4,), BYTES.to_mapping(), "generation", input_shape=[2, 3, 1])
    made = ServedModel(given, lambda inputs: inputs).predict(vectors)
    np.testing.assert_array_equal(made, vectors)
