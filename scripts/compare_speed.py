"""Times `expt.compare` over many made-up runs, as whole processes.

    python scripts/compare_speed.py [--runs 1000] [--steps 1000] [--rounds 3]

Makes run directories in a temporary folder, 10 seeds of each variant, every journal a file of its
own, and prints wall time, processor time and peak memory of the command: the table alone, and with
plots and the HTML page.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from expt.config.compose import compose_jobs
from expt.config.hashes import run_hash, variant_hash
from expt.config.schema import Config

_ACTIVATIONS = ("relu", "tanh", "gelu", "elu", "sigmoid")
_SEEDS = 10
_RANDOM = np.random.default_rng(0)
_JOURNALS = 20  # contents that are made; each run's file is written anyway
_MODES: dict[str, tuple[str, ...]] = {
    "table": (),
    "table, plots, HTML": ("--plots", "plots", "--html", "page.html"),
}


def main() -> int:
    """Prints a row a mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder) / "outputs", args.runs, args.steps)
        print(f"{args.runs:,} runs of {args.steps:,} steps; medians of {args.rounds} rounds")
        for mode, options in _MODES.items():
            measured = [measure(Path(folder), options) for _ in range(args.rounds)]
            wall, processor, peak = map(statistics.median, zip(*measured, strict=True))
            print(
                f"{mode:<20} {wall:6.2f} s  {processor:6.2f} s user + system  {peak / 1e6:5.0f} MB"
            )
    return 0


def measure(folder: Path, options: tuple[str, ...]) -> tuple[float, float, float]:
    """Returns seconds, seconds of the processor, and bytes of one process at its peak."""
    command = [sys.executable, "-m", "expt.compare", *options]
    began = time.perf_counter()
    null = os.open(os.devnull, os.O_WRONLY)
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _IN_FOLDER, str(folder), *command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)],
    )
    _, status, used = os.wait4(process, 0)
    os.close(null)
    seconds = time.perf_counter() - began
    assert status == 0
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


_IN_FOLDER = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"


def make_runs(outputs: Path, count: int, steps: int) -> None:
    """Makes the directories of one sweep."""
    (job,), _ = compose_jobs([], None, multirun=False)
    journals = [journal(steps, offset) for offset in range(_JOURNALS)]
    sweep = outputs / "sweeps" / "2026-11-23" / "10-00-00_00000000"
    rates = (0.0001 * 2**index for index in itertools.count())
    variants = ((rate, act) for rate in rates for act in _ACTIVATIONS)
    jobs = ((rate, act, seed) for rate, act in variants for seed in range(_SEEDS))
    for number, (rate, act, seed) in enumerate(itertools.islice(jobs, count)):
        config = replace(
            job.config,
            seed=seed,
            act={**job.config.act, "_target_": act},
            optimizer={**job.config.optimizer, "learning_rate": rate},
        )
        overrides = [f"act={act}", f"optimizer.learning_rate={rate}", f"seed={seed}"]
        directory = sweep / f"{number}_{','.join(overrides)}"
        directory.mkdir(parents=True)
        choices = {**job.choices, "act": act}
        made = record(config, choices, overrides, started=1.79e9 + number)
        (directory / "run.json").write_text(json.dumps(made, indent=2))
        (directory / "metrics.jsonl").write_text(journals[number % _JOURNALS])
        if seed == 0 and number < 50 * _SEEDS:
            picture(directory, steps)


def record(
    config: Config, choices: dict[str, str], overrides: list[str], started: float
) -> dict[str, Any]:
    """Returns a run.json with all that a real one has."""
    loss = float(_RANDOM.uniform(0.05, 0.15)) + (choices["act"] == "sigmoid") * 0.05
    val = {"val/loss": loss, "val/accuracy": 1 - loss / 3}
    train = {"train/loss": loss / 2, "train/accuracy": 0.99, "train/grad_norm": 0.3}
    values = {k: v for k, v in config.flat().items() if not k.endswith("_target_")}
    return {
        "id": "0" * 32,
        "run_name": overrides[0],
        "name": "default",
        "output_dir": "outputs",
        "seed": config.seed,
        "run_hash": run_hash(config, "data", "code"),
        "variant_hash": variant_hash(config, "data", "code"),
        "params": {**choices, **values},
        "larger_is_better": ["accuracy"],
        "watched": "val/loss",
        "overrides": overrides,
        "choices": choices,
        "data": {"name": "digits", "fingerprint": "0" * 32, "class_names": list("0123456789")},
        "parameters": 26122,
        "git": {"commit": "0" * 40, "dirty": False},
        "versions": {f"package{number}": "1.2.3" for number in range(8)},
        "machine": {"host": "host", "cpu": "cpu", "cpus": 2, "devices": []},
        "environment": {f"TF_VARIABLE_{number}": "value" for number in range(5)},
        "process": {"host": "host", "id": 1, "started": 1.0},
        "status": "FINISHED",
        "closed": True,
        "started": started,
        "training_seconds": 2.5,
        "best": {"step": 900, "watched": "val/loss", **val},
        "stopped": None,
        "final": {"step": 1000, **train, **val, "test/loss": loss, "test/accuracy": 0.97},
        "error": None,
        "ended": started + 3.0,
        "peak_memory": 800_000_000,
    }


def journal(steps: int, offset: int) -> str:
    """Returns a journal's text, evaluated every 20 steps."""
    lines = []
    for step in range(1, steps + 1):
        head = f'{{"step": {step}, "epoch": {(step - 1) // 20 + 1}, "time": {1.79e9 + step:.6f}, '
        loss = 2.3 / (1 + 0.1 * step) + 0.01 * offset
        values = f'"train/loss": {loss:.8f}, "train/accuracy": {1 - loss / 3:.7f}'
        more = '"train/grad_norm": 0.5123456, "train/learning_rate": 0.001'
        lines.append(f"{head}{values}, {more}}}\n")
        if step % 20 == 0:
            values = f'"val/loss": {loss * 1.1:.8f}, "val/accuracy": {1 - loss / 3:.7f}'
            lines.append(f'{head}{values}, "perf/steps_per_s": 1898.9}}\n')
    return "".join(lines)


def picture(directory: Path, step: int) -> None:
    """Writes three grids of a run."""
    (directory / "images").mkdir()
    noise = _RANDOM.integers(0, 255, (40, 40, 3), np.uint8)
    for name in ("predictions", "mistakes", "confusion"):
        file = directory / "images" / f"val_{name}_{step:07d}.png"
        Image.fromarray(noise.repeat(15, 0).repeat(15, 1)).save(file)


if __name__ == "__main__":
    sys.exit(main())
