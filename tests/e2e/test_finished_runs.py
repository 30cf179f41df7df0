"""The commands that use a finished run: expt.evaluate and expt.predict."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_wine

from contracts.example_data import image_folder
from expt.record.values import format_value

Command = Callable[..., Any]
QUICK = ("recorder=[]", "loop.epochs=3", "loop.image_every=null")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    """A working directory with a finished run on digits, which is also recorded in MLflow."""
    folder = tmp_path_factory.mktemp("digits")
    given = ("recorder=[mlflow]", "loop.epochs=3", "loop.image_every=null")
    assert run_command(*given, folder=folder).code == 0
    return folder


def run_in(folder: Path) -> Path:
    (file,) = folder.glob("outputs/runs/*/*/run.json")
    return file.parent


def record_of(folder: Path) -> Any:
    return json.loads((run_in(folder) / "run.json").read_text())


def images(count: int) -> Any:
    return (load_digits().images[:count] / 16)[..., None].astype(np.float32)


def test_evaluation_of_the_test_split_equals_the_recorded_values(
    folder: Path, run_command: Command
) -> None:
    done = run_command("latest", folder=folder, command="evaluate")
    assert (done.code, done.error) == (0, "")
    result = json.loads((run_in(folder) / "evaluations" / "digits-test.json").read_text())
    record = record_of(folder)
    assert result["examples"] == record["data"]["examples"]["test"]
    assert {f"test/{name}": value for name, value in result["metrics"].items()} == pytest.approx(
        {name: value for name, value in record["final"].items() if name.startswith("test/")},
        rel=1e-5,
    )
    assert format_value(result["metrics"]["accuracy"]) in done.out


def test_result_is_recorded_in_the_mlflow_run(folder: Path, run_command: Command) -> None:
    from mlflow import MlflowClient

    run_id = record_of(folder)["mlflow"]["run_id"]
    done = run_command(run_id, "split=val", folder=folder, command="evaluate")
    assert done.code == 0
    client = MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    metrics = client.get_run(run_id).data.metrics
    best = record_of(folder)["best"]
    assert metrics["with/digits-val/accuracy"] == pytest.approx(best["val/accuracy"])
    assert metrics["with/digits-val/loss"] == pytest.approx(best["val/loss"], rel=1e-5)


def test_run_is_evaluated_on_other_data_of_the_same_kind(folder: Path, run_here: Command) -> None:
    digits = load_digits()
    np.savez(folder / "mine.npz", x=images(len(digits.target)), y=digits.target)
    given = ("data=npz", "data.path=mine.npz", "split=all")
    done = run_here("latest", *given, folder=folder, command="evaluate")
    assert (done.code, done.error) == (0, "")
    result = json.loads((run_in(folder) / "evaluations" / "npz-all.json").read_text())
    assert result["examples"] == 1797
    assert result["metrics"]["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: there is no such run"),
        (("0" * 32,), "no run in outputs has this MLflow run id"),
        (("latest", "output_dir=empty"), "latest: there are no runs in empty"),
        (("latest", "split=tset"), "split=tset: there is no such split. Did you mean 'test'?"),
        (("latest", "data=iris"), "its inputs have the shape (4,)"),
        (("latest", "data=diabetes"), "loss=crossentropy does not support regression"),
        (("latest", "data.batchsize=3"), "data.batchsize: there is no key 'batchsize'"),
        (("latest", "model=cnn"), "model=cnn: only the data of a recorded run can be changed"),
        (("latest", "data=nope"), "data=nope: there is no such option"),
    ],
)
def test_invalid_arguments_of_evaluate_are_reported(
    folder: Path, run_here: Command, arguments: tuple[str, ...], message: str
) -> None:
    done = run_here(*arguments, folder=folder, command="evaluate")
    assert done.code == 2
    assert done.error.startswith("error: ")
    assert "Traceback" not in done.error
    assert (
        message.replace("no key 'batchsize'", "no such key") in done.error or message in done.error
    )


def test_missing_model_is_reported(folder: Path, tmp_path: Path, run_here: Command) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "run.json").write_text(json.dumps(record_of(folder) | {"status": "FAILED"}))
    done = run_here(str(directory), folder=folder, command="evaluate")
    assert done.code == 2
    assert "has no model.keras: the run is FAILED" in done.error


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_record_is_reported(
    folder: Path, tmp_path: Path, run_here: Command, content: str
) -> None:
    (tmp_path / "run.json").write_text(content)
    done = run_here(str(tmp_path), folder=folder, command="evaluate")
    assert done.code == 2
    assert "run.json" in done.error


def test_damaged_model_is_reported(folder: Path, tmp_path: Path, run_here: Command) -> None:
    import shutil

    shutil.copytree(run_in(folder), tmp_path / "run")
    (tmp_path / "run" / "model.keras").write_bytes(b"PK\x03\x04 broken")
    done = run_here(str(tmp_path / "run"), folder=folder, command="evaluate")
    assert done.code == 2
    assert "model.keras can't be loaded" in done.error
    assert "Traceback" not in done.error


class TestPredict:
    @pytest.mark.parametrize("ending", ["npz", "npy", "csv"])
    def test_predictions_equal_those_of_the_model(
        self, folder: Path, run_here: Command, tmp_path: Path, ending: str
    ) -> None:
        import keras

        np.save(tmp_path / "x.npy", images(300))
        out = tmp_path / f"out.{ending}"
        given = ("latest", str(tmp_path / "x.npy"), str(out))
        done = run_here(*given, folder=folder, command="predict")
        assert (done.code, done.error) == (0, "")
        assert "300 predictions written to" in done.out
        assert "probabilities of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in done.out
        model = keras.saving.load_model(run_in(folder) / "model.keras")
        expected = model(images(300)).numpy()
        logits = model.layers[-2](images(300)).numpy().astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(expected, powers / powers.sum(1, keepdims=True), rtol=1e-4)
        if ending == "csv":
            table = pd.read_csv(out, dtype={"class": str})
            assert table["class"].tolist() == [str(k) for k in expected.argmax(axis=1)]
            assert list(table)[1:] == [f"probability {k}" for k in range(10)]
            found = table.drop(columns="class").to_numpy()
        else:
            loaded = np.load(out)
            found = loaded if ending == "npy" else loaded["predictions"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    def test_byte_pixels_are_scaled_as_in_training(
        self, folder: Path, run_here: Command, tmp_path: Path
    ) -> None:
        whole = np.round(images(20) * 255).astype(np.uint8)
        np.savez(tmp_path / "bytes.npz", x=whole[..., 0])
        np.savez(tmp_path / "floats.npz", x=whole.astype(np.float32) / 255)
        found = []
        for name in ("bytes", "floats"):
            given = ("latest", str(tmp_path / f"{name}.npz"), str(tmp_path / f"{name}.npy"))
            assert run_here(*given, folder=folder, command="predict").code == 0
            found.append(np.load(tmp_path / f"{name}.npy"))
        of_bytes, of_floats = found
        np.testing.assert_allclose(of_bytes, of_floats, rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize(
        ("inputs", "outputs", "message"),
        [
            ("missing.npy", "out.csv", "missing.npy: there is no such file"),
            ("good.npy", "text.npy", "exists already"),
            ("good.npy", "good.npy", "holds the inputs"),
            ("good.npy", "out.txt", "expected a file that ends in .csv, .npz, .npy"),
            ("good.npy", "no/folder/out.csv", "there is no folder"),
            ("wrong.npy", "out.csv", "the shape (3, 7)"),
            ("nan.npy", "out.csv", "NaN or infinite"),
            ("broken.npy", "out.csv", "can't be read as an array"),
            ("text.npy", "out.csv", "expected numbers"),
            ("table.csv", "out.csv", "has no record of a table's columns"),
            ("notes.txt", "out.csv", "expected .npy, .npz, .csv"),
            ("empty", "out.csv", "there are no images"),
        ],
    )
    def test_invalid_files_are_reported(
        self,
        folder: Path,
        run_here: Command,
        tmp_path: Path,
        inputs: str,
        outputs: str,
        message: str,
    ) -> None:
        np.save(tmp_path / "good.npy", images(3))
        np.save(tmp_path / "wrong.npy", np.zeros((3, 7)))
        np.save(tmp_path / "nan.npy", images(3) * np.nan)
        np.save(tmp_path / "text.npy", np.array(["a", "b"]))
        (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY broken")
        (tmp_path / "table.csv").write_text("a,b\n1,2\n")
        (tmp_path / "notes.txt").write_text("hello")
        (tmp_path / "empty").mkdir()
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        given = ("latest", str(tmp_path / inputs), str(tmp_path / outputs))
        done = run_here(*given, folder=folder, command="predict")
        assert done.code == 2
        assert message in done.error
        assert "Traceback" not in done.error
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_table_is_encoded_as_in_training(run_command: Command, tmp_path: Path) -> None:
    wine = load_wine(as_frame=True).frame.sample(frac=1, random_state=0)
    wine["colour"] = np.where(wine["color_intensity"] > 5, "dark", "light")
    wine["target"] = wine["target"].map({0: "x", 1: "y", 2: "z"})
    wine.iloc[:120].to_csv(tmp_path / "known.csv", index=False)
    # The rows have other categories and another range, so an encoding fitted to them would differ.
    later = wine.iloc[120:].assign(colour="dark")
    later.to_csv(tmp_path / "later.csv", index=False)
    later.drop(columns="target").to_csv(tmp_path / "unlabelled.csv", index=False)
    table = ("data=csv", "data.path=known.csv", "data.target=target", "data.batch_size=8")
    assert run_command(*table, *QUICK, "loop.epochs=15", folder=tmp_path).code == 0

    given = ("latest", "data.path=later.csv", "split=all")
    done = run_command(*given, folder=tmp_path, command="evaluate")
    assert (done.code, done.error) == (0, "")
    (file,) = (run_in(tmp_path) / "evaluations").glob("csv-all-*.json")  # of other data
    result = json.loads(file.read_text())
    files = ("latest", "unlabelled.csv", "out.csv")
    assert run_command(*files, folder=tmp_path, command="predict").code == 0
    predicted = pd.read_csv(tmp_path / "out.csv")["target"].to_numpy()
    accuracy = (predicted == later["target"].to_numpy()).mean()
    assert result["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.8


def test_folder_of_images_is_predicted(run_here: Command, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    given = ("data=image_folder", *image_folder(pictures))
    assert run_here(*given, *QUICK, folder=tmp_path).code == 0
    files = ("latest", str(pictures / "cat"), "out.csv")
    done = run_here(*files, folder=tmp_path, command="predict")
    assert (done.code, done.error) == (0, "")
    table = pd.read_csv(tmp_path / "out.csv")
    assert len(table) == 20
    assert table["file"][0].endswith("0.png")
    Image.new("RGB", (5, 5)).save(tmp_path / "small.png")
    files = ("latest", "small.png", "other.csv")
    done = run_here(*files, folder=tmp_path, command="predict")
    assert done.code == 2
    assert "small.png can't be used: it has 5x5 pixels, but 8x8 are expected" in done.error
