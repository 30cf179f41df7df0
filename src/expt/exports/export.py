"""Export of a finished run's best model, with a comparison of its outputs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from expt.config.frozen import read_frozen
from expt.config.job import Job
from expt.config.paths import expand_path
from expt.errors import RunError, UserError, hint
from expt.record.phases import Phases
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun
from expt.train.backend import start_tensorflow, stderr_to_log
from expt.train.messages import print_code_note
from expt.train.saved_model import load_predictor

FORMATS = {"saved_model": "saved_model", "onnx": "model.onnx", "tflite": "model.tflite"}
"""The formats, and the names of their file or folder in a run's `exports/`."""
_PACKAGES = {"onnx": ("onnx", "onnxruntime", "tf2onnx")}


def export(run: FoundRun, name: str, path: Path, phases: Phases) -> tuple[Job, str]:
    """Writes a run's best model in a format; after an error no file is left.

    Args:
        run: A finished run.
        name: The format.
        path: The file or folder to write; see `choose_path`.
        phases: Shows the progress.

    Returns:
        The run's job, and a description of the difference from the run's predictions.

    Raises:
        UserError: The path cannot be written, or the format does not support the model.
        RunError: The model cannot be converted, or the export's outputs differ.
    """
    file, job = run.model_file, read_frozen(run.directory, run.record.to_mapping())
    phases.end()
    print_code_note(phases.console, use_note(run.record, job.config, evaluates=False))
    # The path is checked before TensorFlow is started, which takes seconds.
    with _staged(path) as partial, phases("starting TensorFlow", at_once=True):
        start_tensorflow(seed=0, threads=job.config.loop.threads)
        phases.begin(f"converting the model to {name}")
        with stderr_to_log():
            return job, _convert(job, run, file, name, partial)


def check_format(name: str) -> None:
    """Checks that a format exists and that its packages are installed.

    Raises:
        UserError: There is no such format, or a package that it needs is missing.
    """
    if name not in FORMATS:
        raise UserError(f"{name}: unknown format. {hint(name, FORMATS)}")
    missing = [package for package in _PACKAGES.get(name, ()) if find_spec(package) is None]
    if missing:
        raise UserError(
            f"{name}: needs {', '.join(missing)}, not installed here. "
            f"Install with: pip install 'expt[{name}]'"
        )


def choose_path(run: FoundRun, name: str, chosen: str | None, *, force: bool) -> Path:
    """Returns the path of the export, by default in the run's `exports/`.

    Args:
        run: The run.
        name: The format.
        chosen: The path that the user chose; None for the default, which is overwritten.
        force: Whether a previous export at the chosen path may be overwritten.

    Raises:
        UserError: The chosen path exists, and may not be overwritten or is no export.
    """
    if chosen is None:
        return run.directory / "exports" / FORMATS[name]
    path = expand_path(chosen, "--to ").absolute()
    if os.path.lexists(path) and not force:
        raise UserError(
            f"--to {chosen}: it exists already. Choose another path, or overwrite a previous "
            "export with --force."
        )
    # Overwriting removes a folder with all its contents, so --force applies to exports alone.
    is_export = (path / "saved_model.pb").is_file() if name == "saved_model" else not path.is_dir()
    if os.path.lexists(path) and not is_export:
        raise UserError(
            f"--to {chosen}: it is not a previous {name} export, and is not overwritten. Choose "
            "another path."
        )
    return path


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces the given one on success and is removed on error.

    Raises:
        UserError: The folder cannot be written to.
    """
    # In the nearest existing folder, so that the last step is a move within one file system.
    above = next(folder for folder in path.parents if folder.exists())
    try:
        staging = tempfile.TemporaryDirectory(prefix="partial-", dir=above)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {above}: {error.strerror}.") from error
    with staging:
        partial = Path(staging.name) / path.name
        yield partial
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # os.replace does not replace a folder that has contents
            path.rename(partial.with_name("replaced"))
        partial.replace(path)


def _convert(job: Job, run: FoundRun, file: Path, name: str, path: Path) -> str:
    """Writes a saved model in a format, and returns a description of its difference."""
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
    except Exception as error:  # converters raise errors of any class
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(f"{name}: the model cannot be converted: {reason[0]}") from error
    return describe_difference(saved, model, exported, has_float32_inputs=name == "tflite")


def size_text(path: Path) -> str:
    """Returns the size of a file, or of all files in a folder, in kilobytes, as text."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1000:,.0f} kB"
