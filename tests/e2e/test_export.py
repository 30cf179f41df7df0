"""`expt.export` as a user types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import ready_processes
from conftest import Command
from exports.export_helpers import READERS

# Runs the command, and prints on exit whether its process has imported TensorFlow.
_SPY = """
import atexit, sys
atexit.register(lambda: print("imported", *({"tensorflow"} & sys.modules.keys())))
from expt.export import main
main()
"""
_WITHOUT_ONNX = "import sys; sys.modules['tf2onnx'] = None" + _SPY
# Runs the command with an export that writes other weights. The exports are patched only when the
# command has started TensorFlow.
_WRONG = """
from expt.export import main
from expt.exports import export
load = export.load_predictor
def load_and_break(file, run, job):
    import keras
    from expt.exports import tflite
    write = tflite.write
    tflite.write = lambda model, path: write(keras.models.clone_model(model), path)
    return load(file, run, job)
export.load_predictor = load_and_break
main()
"""


def export(*arguments: str, folder: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "expt.export"]
    # A process forked by `ready_processes` has imported TensorFlow, which the spy would report.
    run = subprocess.run if _SPY in code else ready_processes.run
    return run(
        [sys.executable, *start, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def run(run_command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that has finished."""
    folder = tmp_path_factory.mktemp("export")
    options = ("model.units=[8]", "model.dropout=0.5", "loop.steps=5", "loop.image_every=null")
    assert run_command("recorder=[]", *options, folder=folder).code == 0
    (file,) = folder.glob("outputs/runs/*/*/run.json")
    return file.parent


def in_folder(run: Path) -> Path:
    """Returns the folder in which the run was started."""
    return run.parents[3]


def assert_same(name: str, path: Path, run: Path) -> None:
    inputs = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)
    expected = np.asarray(keras.saving.load_model(run / "model.keras")(inputs, training=False))
    np.testing.assert_allclose(READERS[name](path)(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "place"), [("saved_model", "saved_model"), ("tflite", "model.tflite")]
)
def test_previous_export_is_replaced(name: str, place: str, run: Path) -> None:
    path = run / "exports" / place
    earlier = path / "assets" / "earlier" if name == "saved_model" else path
    earlier.parent.mkdir(parents=True, exist_ok=True)
    earlier.write_text("earlier")
    before = set(path.parent.iterdir())
    done = export(str(run), name, folder=run.parent)
    assert (done.returncode, done.stderr) == (0, "")
    where, taken, given, difference = done.stdout.splitlines()[-4:]  # below slow phases
    assert taken.startswith("inputs: ")
    assert given == "outputs: probabilities of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert re.fullmatch(rf"{name} written to {re.escape(str(path))} \(\d+ kB\)", where)
    assert re.search(r"^largest relative difference .* \d\.\de[-+]\d\d$", difference)
    assert set(path.parent.iterdir()) == before
    assert name != "saved_model" or not earlier.exists()
    assert_same(name, path, run)


def test_export_is_written_to_the_given_path(run: Path) -> None:
    before = set(run.iterdir())
    arguments = ("latest", "onnx", "--to", "in/a new folder/model.onnx", "output_dir=../outputs")
    (elsewhere := in_folder(run) / "elsewhere").mkdir()
    done = export(*arguments, folder=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    path = elsewhere / "in/a new folder/model.onnx"
    assert f"onnx written to {path} (" in done.stdout
    assert set(run.iterdir()) == before
    assert [file for file in elsewhere.rglob("*") if file.is_file()] == [path]
    assert_same("onnx", path, run)


def test_export_with_wrong_predictions_is_deleted(run: Path) -> None:
    (run / "exports").mkdir(exist_ok=True)
    path = run / "exports" / "model.tflite"
    path.write_text("earlier")
    before = set(run.rglob("*"))
    done = export("latest", "tflite", folder=in_folder(run), code=_WRONG)
    assert done.returncode == 1
    assert "written to" not in done.stdout
    assert re.match(r"error: the export's outputs differ from the model's by \d.*\n$", done.stderr)
    assert set(run.rglob("*")) == before
    assert path.read_text() == "earlier"


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["nothing", "onnx"], ["nothing: there is no such run", "'latest'"]),
        (["latest", "onnx", "output_dir=nowhere"], ["there are no runs in nowhere"]),
        (["latest", "tf-lite"], ["tf-lite: ", "Did you mean 'tflite'?", "onnx, saved_model"]),
        (["latest", "tflite", "--to", "here"], ["--to here: it exists"]),
        (["latest", "tflite", "--to", "here/file/model"], ["here/file", "Not a directory"]),
        (["latest", "tflite", "split=val"], ["split=val: ", "output_dir="]),
        (["unfinished", "tflite"], ["has no model.keras", "RUNNING"]),
    ],
)
def test_user_error_is_reported_without_tensorflow_and_leaves_no_files(
    arguments: list[str], messages: list[str], run: Path
) -> None:
    folder = in_folder(run)
    for name in ("here", "unfinished"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "here" / "file").touch()
    unfinished = {"status": "RUNNING", "started": 0.0}
    (folder / "unfinished" / "run.json").write_text(json.dumps(unfinished))
    before = set(folder.rglob("*"))
    done = export(*arguments, folder=folder, code=_SPY)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for text in messages:
        assert text in done.stderr
    assert done.stdout.splitlines()[-1] == "imported"
    assert set(folder.rglob("*")) == before


def test_missing_extra_is_reported_without_tensorflow(run: Path) -> None:
    done = export("latest", "onnx", folder=in_folder(run), code=_WITHOUT_ONNX)
    assert done.returncode == 2
    assert done.stderr == (
        "error: onnx: needs tf2onnx, not installed here. Install with: pip install 'expt[onnx]'\n"
    )
    assert done.stdout.splitlines()[-1] == "imported"
