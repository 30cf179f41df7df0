"""Times a sweep of 24 jobs against the same sweep as a plain script, in turn on one machine.

    python scripts/sweep_speed.py [--rounds 2]

Four activations, two losses and three seeds on digits. The plain script is
`scripts/plain_sweep/sweep.py`: Hydra, Keras' `fit`, MLflow's autologging and TensorBoard's
callback. expt has all its recorders on. Each measurement is a whole process in an empty folder,
so that both make their MLflow database, too; processor time counts the processes that it starts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from expt.record.mlflow.store import prepare_mlflow

SWEEP = ("-m", "act=relu,tanh,elu,gelu", "loss=crossentropy,mse", "seed=0,1,2")
NUM_JOBS = 24
PLAIN_SCRIPT = Path(__file__).resolve().parent / "plain_sweep" / "sweep.py"
COMMANDS = {"expt": ("-m", "expt.run"), "plain": (str(PLAIN_SCRIPT),)}
STORES = {"expt": "outputs/mlflow.db", "plain": "mlflow.db"}


def main() -> None:
    """Prints a row a round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    prepare_mlflow()
    table = Table("round", "plain, wall", "expt, wall", "ratio", "plain, CPU", "expt, CPU", "ratio")
    rounds = []
    for number in range(1, args.rounds + 1):
        expt, plain = measure("expt"), measure("plain")
        rounds.append([plain[0], expt[0], plain[0] / expt[0]])
        rounds[-1] += [plain[1], expt[1], plain[1] / expt[1]]
        add_row(table, str(number), rounds[-1])
    table.add_section()
    add_row(table, "median", [statistics.median(column) for column in zip(*rounds, strict=True)])
    Console(width=100).print(table)


def add_row(table: Table, name: str, numbers: list[float]) -> None:
    """Adds seconds and ratios."""
    formats = ("{:,.1f} s", "{:,.1f} s", "{:.2f}x") * 2
    table.add_row(name, *(form.format(n) for form, n in zip(formats, numbers, strict=True)))


def measure(side: str) -> tuple[float, float]:
    """Returns the seconds, and the processor's seconds, of one side's sweep."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as printed:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[side], *SWEEP],
            cwd=folder,
            stdout=printed,
            stderr=subprocess.STDOUT,
            # Its own would be sent; expt sends none.
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        assert process.returncode == 0, printed.read()
        finished = count_finished(f"sqlite:///{folder}/{STORES[side]}")
        assert finished == NUM_JOBS, f"{side}: {finished} finished runs, not {NUM_JOBS}"
    processor = used.ru_utime + used.ru_stime
    print(f"{side:<5} {seconds:7.1f} s  {processor:7.1f} s user + system", file=sys.stderr)
    return seconds, processor


def count_finished(store: str) -> int:
    """Returns how many runs of an MLflow store are FINISHED; parents of others do not count."""
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    return sum(run.info.status == "FINISHED" and run.info.run_id not in parents for run in runs)


if __name__ == "__main__":
    main()
