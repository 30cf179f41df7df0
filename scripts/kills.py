"""Kills runs with signal 9 at random moments, resumes them, and compares how they end.

    python scripts/kills.py [--kills 100] [--seed 0]

A run that is never disturbed comes first. Then others of the same config are killed up to eight
times each, every third time in the middle of writing a checkpoint, resumed each time, and let
finish at last. Their weights, optimizer state and journal must be those of the first, and
TensorBoard and MLflow must hold the journal, each value once. Exit code 1 if anything differs.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from resume.interrupting import assert_same
from resume.killing import kill, start
from resume.stores import assert_stores_agree

CONFIG = (
    "model.units=[700,700]",
    "model.dropout=0.2",
    "loop.epochs=30",
    "loop.save_every=10",
    "loop.image_every=10ep",
    "schedule=cosine",
)
KILLS_A_RUN = 8


def wait_for_a_moment(
    process: "subprocess.Popen[str]",
    directory: Path,
    whole: Path,
    draw: random.Random,
    seconds: float,
) -> float:
    """Waits until the run has got further, by its journal; returns how long to wait besides.

    One in five is for any time at all: while the process starts, or while it ends.
    """
    if draw.random() < 0.2:
        return draw.uniform(0.0, seconds)
    journal, end = directory / "metrics.jsonl", (whole / "metrics.jsonl").stat().st_size
    now = journal.stat().st_size if journal.exists() else 0
    goal = now + draw.uniform(0.0, 0.4) * (end - now)
    while process.poll() is None and not (journal.exists() and journal.stat().st_size > goal):
        time.sleep(0.001)
    return draw.uniform(0.0, 0.3)


def main() -> int:
    """Prints a line a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, kills, during_saves, number = random.Random(args.seed), 0, 0, 0  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = root / "whole"
        began = time.perf_counter()
        start(CONFIG, whole, root).wait()
        seconds = time.perf_counter() - began
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        while kills < args.kills:
            number += 1
            directory, killed, saving = root / f"run{number}", 0, 0
            while killed < KILLS_A_RUN and kills + killed < args.kills:
                process = start(CONFIG, directory, root)
                after = wait_for_a_moment(process, directory, whole, draw, seconds)
                in_save = (kills + killed) % 3 == 0
                outcome = kill(process, directory, after, in_save)
                if outcome == "ended":
                    break
                killed += 1
                saving += outcome == "killed in a save"
            process = start(CONFIG, directory, root)
            output, _ = process.communicate()
            assert process.returncode == 0, output
            assert_same(directory, whole)
            # MLflow did not answer in time; on a busy machine.
            synced = "expt.sync" in (directory / "run.log").read_text()
            if synced:
                sync = [sys.executable, "-m", "expt.sync", str(directory)]
                subprocess.run(sync, cwd=root, check=True, stdout=subprocess.DEVNULL)
            assert_stores_agree(directory, f"sqlite:///{root}/outputs/mlflow.db")
            kills, during_saves = kills + killed, during_saves + saving
            print(
                f"run {number}: killed {killed} times ({saving} in a save), resumed, the same"
                f"{'; expt.sync completed MLflow' if synced else ''}",
                flush=True,
            )
    print(
        f"{kills} kills, {during_saves} of them in a save; every run was resumed and ended the same"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
