"""Kills sweeps with signal 9 at random moments, resumes them, and compares how they end.

    python scripts/sweep_kills.py [--kills 10] [--seed 0]

A sweep that is never disturbed comes first. Then others of the same config, each in a folder of
its own, are killed once and resumed. Every job's weights, optimizer state and journal must be
those of the first sweep; TensorBoard and MLflow must hold the journal, each value once, and
MLflow one run a job. A sweep that is killed before its plan is written begins anew and does not
count, nor does one that ends before. Exit code 1 if anything differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from resume.interrupting import assert_same
from resume.stores import assert_stores_agree

SWEEP = ("act=relu,tanh,elu", "seed=0,1", "model.dropout=0.2", "loop.epochs=100")
NUM_JOBS = 6


def main() -> int:
    """Prints a line a kill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, unplanned = random.Random(args.seed), 0  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        began = time.perf_counter()
        place = root / "whole"
        finish(start(place, "expt.run", "-m", *SWEEP), place)
        seconds = time.perf_counter() - began
        whole = planned(place)
        assert whole is not None
        assert_finished(whole, whole)
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        for number in range(1, args.kills + 1):
            place = root / f"sweep{number}"
            earliest = 0.85 if number % 5 == 0 else 0.0  # one in five: while it ends
            while True:
                after = draw.uniform(earliest, 1.0) * seconds
                is_killed = kill(start(place, "expt.run", "-m", *SWEEP), place, after)
                sweep = planned(place)
                if is_killed and sweep is not None:
                    break
                unplanned += is_killed
                place = place if is_killed else root / f"{place.name}-anew"
            before = statuses(sweep)
            finish(start(place, "expt.resume", str(sweep)), place)
            assert_finished(sweep, whole)
            print(
                f"{number}: killed after {after:.1f} s with {before.count('FINISHED')} jobs "
                f"finished and {before.count('RUNNING')} running, resumed, the same",
                flush=True,
            )
    print(f"{args.kills} kills, and {unplanned} before there was a plan; all ended the same")
    return 0


def start(place: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Starts a command in a folder; what it prints goes to a file, which nobody waits for."""
    place.mkdir(exist_ok=True)
    with (place / "printed").open("a") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=place, stdout=printed, stderr=subprocess.STDOUT
        )


def finish(process: "subprocess.Popen[bytes]", place: Path) -> None:
    """Waits until a process ends, well."""
    assert process.wait() == 0, (place / "printed").read_text()


def kill(process: "subprocess.Popen[bytes]", place: Path, after: float) -> bool:
    """Kills a process after some seconds; returns whether it had not ended by then."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    finish(process, place)
    return False


def planned(place: Path) -> Path | None:
    """The directory of the sweep in a folder that has a plan."""
    plans = list(place.glob("outputs/sweeps/*/*/sweep.json"))
    assert len(plans) <= 1, plans
    return plans[0].parent if plans else None


def statuses(sweep: Path) -> list[str]:
    """How the jobs of a plan stand."""
    return [job["status"] for job in json.loads((sweep / "sweep.json").read_text())["jobs"]]


def assert_finished(sweep: Path, whole: Path) -> None:
    """Asserts that a sweep has ended as the undisturbed one, and that all stores agree."""
    assert statuses(sweep) == ["FINISHED"] * NUM_JOBS
    store = f"sqlite:///{sweep.parents[2]}/mlflow.db"
    jobs = sorted(file.parent for file in sweep.glob("*/run.json"))
    assert [job.name for job in jobs] == sorted(
        file.parent.name for file in whole.glob("*/run.json")
    )
    assert len(jobs) == NUM_JOBS
    for job in jobs:
        assert_same(job, whole / job.name)
        assert_stores_agree(job, store)
        assert json.loads((job / "run.json").read_text())["status"] == "FINISHED"
    assert_one_run_a_job(jobs, store)


def assert_one_run_a_job(jobs: list[Path], store: str) -> None:
    """Asserts that MLflow holds the runs of these jobs, all of one parent or none, and no other."""
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    runs = {run.info.run_id: run for run in found}
    own = {json.loads((job / "run.json").read_text())["mlflow"]["run_id"] for job in jobs}
    assert len(own) == NUM_JOBS
    (parent,) = {runs[run_id].data.tags.get("mlflow.parentRunId") for run_id in own}
    assert runs.keys() == own | ({parent} - {None})
    assert {run.info.status for run in found} == {"FINISHED"}


if __name__ == "__main__":
    sys.exit(main())
