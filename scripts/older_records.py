"""Records runs and sweeps with an older checkout, as data for tests/e2e/test_older_records.py.

    git worktree add --detach OLD 16e19fb
    python scripts/older_records.py OLD [--into tests/older_records/project]

The records are those that the checkout's own commands write, in a temporary folder. Afterwards the
folder's path, that of the checkout and that of Python are replaced in the texts: by /home/user/…
Host name, platform and user name are given to the commands, as of a machine called `workstation`.
"""

import argparse
import gzip
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "tests" / "user_project"
RUNS, SWEEPS = Path("outputs/runs"), Path("outputs/sweeps")
NAMES = """
import platform
platform.node = lambda: "workstation"
platform.platform = lambda *_: "Linux-6.1.0-x86_64-with-glibc2.36"
"""
"""A sitecustomize.py."""

DIGITS = (
    "model.units=[8]",
    "data.batch_size=256",
    "optimizer.learning_rate=0.01",
    "loop.image_every=null",
)
LONG = (*DIGITS, "loop.epochs=40")
TABLE = (
    "data=csv",
    "data.path=table.csv",
    "data.target=kind",
    "model.units=[4]",
    "recorder=[]",
    "loop.image_every=null",
    "loop.epochs=80",
    "sweep.workers=1",
)
LEFT_OUT = (
    *("*.lock", "*.log", "mlflow.db", "mlartifacts", "summary"),  # empty, or large
    *("__pycache__", "my_project", "conf"),  # the test takes them from tests/user_project
)


class Recording:
    """Commands of a checkout in a folder."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.project = checkout, folder / "project"
        (folder / "names").mkdir()
        (folder / "names" / "sitecustomize.py").write_text(NAMES)
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LOGNAME": "user",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{checkout / 'src'}:{folder / 'names'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "EXPT_ALLOW": "my_project",
        }

    def run(
        self,
        *arguments: str,
        code: int = 0,
        until: Callable[[], bool] | None = None,
        number: int = 0,
    ) -> None:
        """Runs expt.run; sends a signal once something has happened.

        Args:
            arguments: Of the command.
            code: The exit code that is expected.
            until: When to send the signal.
            number: The signal's.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "expt.run", *arguments],
            cwd=self.project,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while until is not None and process.poll() is None:
            if until():
                process.send_signal(number)
                break
            time.sleep(0.0005)
        output, _ = process.communicate()
        if process.returncode != code:
            sys.exit(f"{' '.join(arguments)}: exit code {process.returncode}\n{output}")
        print(f"{process.returncode:4} {' '.join(arguments)}", flush=True)

    def reached(self, directory: Path, step: int) -> Callable[[], bool]:
        """Returns whether a run has got to a step and has saved a checkpoint."""

        def is_there() -> bool:
            journal = self.project / directory / "metrics.jsonl"
            saved = (self.project / directory / "checkpoints").glob("step_*.npz")
            return (
                journal.exists()
                and any(saved)
                and f'{{"step": {step}, ' in journal.read_text(encoding="utf-8")
            )

        return is_there

    def texts(self) -> dict[str, str]:
        """Returns what is replaced in texts."""
        return {
            str(self.project): "/home/user/project",
            str(self.project.parent): "/home/user",
            str(self.checkout): "/home/user/expt",
            sys.prefix: "/home/user/expt/.venv",
            os.path.relpath(sys.prefix, self.project): "../expt/.venv",
        }


def record(recording: Recording) -> None:
    """Makes all the runs and sweeps."""
    run = recording.run
    (recording.project / "table.csv").write_text(table(), encoding="utf-8")
    run(*LONG, f"hydra.run.dir={RUNS}/finished")
    for name, number, code in (("interrupted", signal.SIGTERM, 143), ("died", signal.SIGKILL, -9)):
        recorders = "recorder=[tensorboard,mlflow]" if name == "interrupted" else "recorder=[]"
        where = RUNS / name
        run(
            *LONG,
            recorders,
            f"hydra.run.dir={where}",
            until=recording.reached(where, 60),
            number=number,
            code=code,
        )
    run(
        "-m",
        *DIGITS,
        "loop.epochs=4",
        "act=relu,tanh",
        "seed=0,1",
        "sweep.workers=2",
        f"hydra.sweep.dir={SWEEPS}/finished",
    )
    second = SWEEPS / "interrupted" / "1_optimizer.learning_rate=0.003"
    run(
        "-m",
        *TABLE,
        "optimizer.learning_rate=0.01,0.003,0.001",
        f"hydra.sweep.dir={second.parent}",
        until=recording.reached(second, 60),
        number=signal.SIGTERM,
        code=143,
    )
    run(
        "--config-dir",
        "conf",
        "experiment=spirals",
        "model.width=8",
        "loop.epochs=2",
        "recorder=[]",
        "loop.image_every=null",
        f"hydra.run.dir={RUNS}/own_parts",
    )
    run(
        "data=diabetes",
        "loss=mse",
        "model.units=[4]",
        "optimizer=sgd",
        "optimizer.learning_rate=1e30",
        "recorder=[]",
        "loop.image_every=null",
        f"hydra.run.dir={RUNS}/diverged",
        code=1,
    )
    run(
        "model=gan",
        "loss=binary_crossentropy",
        "model.latent_size=4",
        "model.generator_units=[8]",
        "model.discriminator_units=[8]",
        "loop.steps=12",
        "recorder=[]",
        "loop.image_every=null",
        f"hydra.run.dir={RUNS}/gan",
    )


def table() -> str:
    """Returns a CSV file of 120 rows: a point of the plane is near or far."""
    rows = [(x / 10 - 0.55, y / 10 - 0.45) for x in range(12) for y in range(10)]
    lines = [f"{x:.2f},{y:.2f},{'near' if x * x + y * y < 0.1 else 'far'}" for x, y in rows]
    return "\n".join(["x,y,kind", *lines]) + "\n"


def keep(recording: Recording, into: Path) -> None:
    """Copies what is kept; MLflow's database becomes SQL.

    Raises:
        SystemExit: A file that is no text holds a path that would have to be replaced.
    """
    replaced = recording.texts()
    database = recording.project / "outputs" / "mlflow.db"
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(recording.project, into, ignore=shutil.ignore_patterns(*LEFT_OUT))
    with sqlite3.connect(database) as connection:
        dump = "\n".join(connection.iterdump()) + "\n"
    (into / "outputs" / "mlflow.sql.gz").write_bytes(
        gzip.compress(_neutral(dump, replaced).encode(), mtime=0)
    )
    for file in into.rglob("*"):
        if file.is_dir() or file.suffix == ".gz":
            continue
        try:
            file.write_text(_neutral(file.read_text(encoding="utf-8"), replaced), encoding="utf-8")
        except UnicodeDecodeError:
            content = file.read_bytes()
            if any(text.encode() in content for text in replaced):
                sys.exit(f"{file} holds a path of this machine")


def _neutral(text: str, replaced: dict[str, str]) -> str:
    for before, after in replaced.items():
        text = text.replace(before, after)
    # Those of Python's own files, in tracebacks.
    return re.sub(r'File "/[^"]*/(lib/python[^"]*)"', r'File "/usr/\1"', text)


def main() -> None:
    """Records and keeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--into", type=Path, default=ROOT / "tests/older_records/project")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(args.checkout.resolve(), Path(folder).resolve())
        record(recording)
        keep(recording, args.into)


if __name__ == "__main__":
    main()
