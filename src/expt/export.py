"""`python -m expt.export RUN FORMAT [--to PATH]`: a finished run's model for other programs."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("export", sys.argv[1:])

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from expt.analysis.run_argument import RUN_HELP, add_metric_option, take_run
from expt.cli import program, run_command, take_options
from expt.config.compose import Job
from expt.config.flags import parse
from expt.config.frozen import read_frozen
from expt.config.paths import expanded
from expt.errors import RunError, UserError, hint
from expt.exports.inputs import describe_inputs
from expt.prediction.outputs import describe_outputs
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun
from expt.train.backend import start_tensorflow, stderr_logged
from expt.train.launch import print_code_note
from expt.train.saved import load_predictor, recorded_outputs

_NAMES = {"saved_model": "saved_model", "onnx": "model.onnx", "tflite": "model.tflite"}
_PACKAGES = {"onnx": ("onnx", "onnxruntime", "tf2onnx")}


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Writes a finished run's best model in another format, and checks that it "
        "gives the same outputs.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("format", metavar="FORMAT", help=" | ".join(_NAMES))
    parser.add_argument(
        "options", nargs="*", metavar="KEY=VALUE", help="output_dir=… (default outputs)"
    )
    parser.add_argument("--to", metavar="PATH", help="default: exports/ in the run's directory")
    parser.add_argument(
        "--force", action="store_true", help="overwrite an earlier export that --to names"
    )
    add_metric_option(parser)
    args = parse(parser, arguments, ["output_dir"])
    options, others = take_options(args.options, {"output_dir": "outputs"})
    if others:
        raise UserError(f"{others[0]}: expected nothing else than output_dir=…")
    _check_format(args.format)
    phases = command_phases()
    phases.begin("reading the run")
    run = take_run(args.run, Path(options["output_dir"]), args.metric)
    file, path = run.model_file, _place(run, args.format, args.to, force=args.force)
    job = read_frozen(run.directory, run.record)
    phases.end()
    print_code_note(phases.console, use_note(run.record, job.config, evaluates=False))
    with _put(path) as partial, phases("starting TensorFlow", at_once=True):
        start_tensorflow(seed=0, threads=job.config["loop"]["threads"])
        phases.begin(f"converting the model to {args.format}")
        with stderr_logged():
            agreement = _export(job, run, file, args.format, partial)
    print(f"{args.format} written to {path} ({_size(path)})")
    print(f"it takes {describe_inputs(run.record['data'])}")
    print(f"it gives {describe_outputs(run.record['data'], recorded_outputs(run, job))}")
    print(agreement)
    return 0


def _check_format(name: str) -> None:
    if name not in _NAMES:
        raise UserError(f"{name}: there is no such format. {hint(name, _NAMES)}")
    missing = [package for package in _PACKAGES.get(name, ()) if find_spec(package) is None]
    if missing:
        raise UserError(
            f"{name}: needs {', '.join(missing)}, not installed here. "
            f"Install with: pip install 'expt[{name}]'"
        )


def _place(run: FoundRun, name: str, chosen: str | None, *, force: bool) -> Path:
    """Where the export goes: the place of an earlier one, or what the user chose, if free.

    Raises:
        UserError: What the user chose exists, and may not be overwritten.
    """
    if chosen is None:
        return run.directory / "exports" / _NAMES[name]
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


def _export(job: Job, run: FoundRun, file: Path, name: str, path: Path) -> str:
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


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1000:,.0f} kB"


if __name__ == "__main__":
    main()
