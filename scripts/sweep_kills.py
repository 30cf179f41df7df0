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
from collections import Counter
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
    draw, tries, kills, unplanned = random.Random(args.seed), 0, 0, 0  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        whole = finish(start(Path(folder, "whole")), Path(folder, "whole"))
        seconds = time.perf_counter() - began
        assert_finished(whole, whole)
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        while kills < args.kills:
            tries += 1
            place = Path(folder, f"sweep{tries}")
            part, after = moment(kills, draw, seconds)
            is_killed = kill(place, part * journaled(whole), after)
            before = [] if (sweep := planned(place)) is None else statuses(sweep)
            assert_finished(finish(start(place), place), whole)
            kills += is_killed and bool(before)
            unplanned += is_killed and not before
            jobs = ", ".join(f"{n} {status}" for status, n in Counter(before).items()) or "no plan"
            print(
                f"{place.name}: {'killed' if is_killed else 'ended before it was killed'} "
                f"{after:.1f} s after {part:.0%}: {jobs}; {kills} kills, ended the same",
                flush=True,
            )
    print(f"{kills} kills, and {unplanned} before there was a plan; every sweep ended the same")
    return 0


def moment(kills: int, draw: random.Random, seconds: float) -> tuple[float, float]:
    """Draws when to kill: once so great a part is journaled, and after how many seconds more.

    One in five is while the sweep plans or its workers start, and one while it ends.
    """
    if kills % 5 == 0:
        return 0.0, draw.uniform(0.0, 0.5 * seconds)
    if kills % 5 == 4:
        return draw.uniform(0.9, 0.99), draw.uniform(0.0, 3.0)
    return draw.uniform(0.0, 0.95), draw.uniform(0.0, 1.0)


def start(place: Path) -> "subprocess.Popen[bytes]":
    """Starts the sweep in a folder, or resumes the one whose plan is there."""
    place.mkdir(exist_ok=True)
    sweep = planned(place)
    command = ("expt.run", "-m", *SWEEP) if sweep is None else ("expt.resume", str(sweep))
    with (place / "printed").open("a") as printed:  # a pipe would be waited for; workers hold it
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=place, stdout=printed, stderr=subprocess.STDOUT
        )


def finish(process: "subprocess.Popen[bytes]", place: Path) -> Path:
    """Waits until a sweep ends, well; returns its directory."""
    assert process.wait() == 0, (place / "printed").read_text()
    sweep = planned(place)
    assert sweep is not None
    return sweep


def kill(place: Path, size: float, after: float) -> bool:
    """Starts a sweep and kills it some seconds after its journals have got a size.

    Returns:
        Whether it had not ended by then.
    """
    process = start(place)
    while process.poll() is None and journaled(place) < size:
        time.sleep(0.01)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    finish(process, place)
    return False


def journaled(place: Path) -> int:
    """The bytes in the journals of all jobs in a folder."""
    return sum(file.stat().st_size for file in place.rglob("metrics.jsonl"))


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
    parents = {runs[run_id].data.tags.get("mlflow.parentRunId") for run_id in own}
    assert len(parents) == 1
    assert runs.keys() == own | (parents - {None})
    assert {run.info.status for run in found} == {"FINISHED"}


if __name__ == "__main__":
    sys.exit(main())
