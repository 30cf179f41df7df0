"""Writes a finished run's best model in another format, and compares its outputs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from expt.config.compose import Job
from expt.config.frozen import read_frozen
from expt.config.paths import expanded
from expt.errors import RunError, UserError, hint
from expt.record.phases import Phases
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun
from expt.train.backend import start_tensorflow, stderr_logged
from expt.train.messages import print_code_note
from expt.train.saved_model import load_predictor

FORMATS = {"saved_model": "saved_model", "onnx": "model.onnx", "tflite": "model.tflite"}
"""The formats, and how their file or folder is called in a run's `exports/`."""
_PACKAGES = {"onnx": ("onnx", "onnxruntime", "tf2onnx")}


def export(run: FoundRun, name: str, path: Path, phases: Phases) -> tuple[Job, str]:
    """Writes a run's best model in a format; after an error nothing is left.

    Args:
        run: A finished run.
        name: The format.
        path: Where to write it; see `choose_path`.
        phases: Show what lasts.

    Returns:
        The run's job, and how far the outputs are from the run's predictions, as a sentence.

    Raises:
        UserError: The path can't be written, or the format can't hold the model.
        RunError: The model can't be converted.
    """
    file, job = run.model_file, read_frozen(run.directory, run.record.to_mapping())
    phases.end()
    print_code_note(phases.console, use_note(run.record, job.config, evaluates=False))
    with _put(path) as partial, phases("starting TensorFlow", at_once=True):
        start_tensorflow(seed=0, threads=job.config.loop.threads)
        phases.begin(f"converting the model to {name}")
        with stderr_logged():
            return job, _convert(job, run, file, name, partial)


def check_format(name: str) -> None:
    """Checks that a format exists and can be written here.

    Raises:
        UserError: There is no such format, or a package that it needs is not installed.
    """
    if name not in FORMATS:
        raise UserError(f"{name}: there is no such format. {hint(name, FORMATS)}")
    missing = [package for package in _PACKAGES.get(name, ()) if find_spec(package) is None]
    if missing:
        raise UserError(
            f"{name}: needs {', '.join(missing)}, not installed here. "
            f"Install with: pip install 'expt[{name}]'"
        )


def choose_path(run: FoundRun, name: str, chosen: str | None, *, force: bool) -> Path:
    """Where the export goes: the place of an earlier one, or what the user chose, if free.

    Raises:
        UserError: What the user chose exists, and may not be overwritten.
    """
    if chosen is None:
        return run.directory / "exports" / FORMATS[name]
    path = expanded(chosen, "--to ").absolute()
    if os.path.lexists(path) and not force:
        raise UserError(
            f"--to {chosen}: it exists already. Choose another path, or overwrite an earlier "
            "export with --force."
        )
    # A folder is removed with all that is in it, so it must be what such an export makes.
    is_export = (path / "saved_model.pb").is_file() if name == "saved_model" else not path.is_dir()
    if os.path.lexists(path) and not is_export:
        raise UserError(
            f"--to {chosen}: it is no earlier export as {name}, and is not overwritten. Choose "
            "another path."
        )
    return path


@contextmanager
def _put(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which then becomes the given one; after an error nothing is left.

    Raises:
        UserError: The folder can't be written to.
    """
    above = next(folder for folder in path.parents if folder.exists())
    try:
        staging = tempfile.TemporaryDirectory(prefix="partial-", dir=above)
    except OSError as error:
        raise UserError(f"{path} can't be written: {above}: {error.strerror}.") from error
    with staging:
        partial = Path(staging.name) / path.name
        yield partial
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # a folder can't be replaced in one move
            path.rename(partial.with_name("replaced"))
        partial.replace(path)


def _convert(job: Job, run: FoundRun, file: Path, name: str, path: Path) -> str:
    """Writes a saved model in a format; returns how far it is from the run's predictions."""
    from expt.exports import onnx, saved_model, tflite
    from expt.exports.comparison import describe_difference, in_float32

    exporter = {"saved_model": saved_model, "onnx": onnx, "tflite": tflite}[name]
    saved = load_predictor(file, run, job)
    model = in_float32(saved)
    try:
        exporter.write(model, path)
        exported = exporter.load(path)
    except UserError:
        raise
    except Exception as error:  # a converter lets through whatever it meets
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(f"{name}: the model can't be converted: {reason[0]}") from error
    return describe_difference(saved, model, exported, takes_float32=name == "tflite")


def size_text(path: Path) -> str:
    """Returns the size of a file, or of all files in a folder, in kilobytes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1000:,.0f} kB"
