"""Measures each option of the catalogue as a graph and with XLA, for the rule of loop.compile=auto.

    python scripts/compile_speed.py                 all options
    python scripts/compile_speed.py act loss        some groups
    python scripts/compile_speed.py sizes           dense networks of several sizes
    python scripts/compile_speed.py sizes --threads 1

For each option, one Markdown row: steps a second in both modes, validation after every epoch
included, the ratio, the seconds that compiling with XLA takes longer, and the number of steps after
which XLA has made up for them. `expt.train.compilation_rule` holds what follows from the rows.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from expt.config.compose import compose_jobs
from expt.errors import UserError
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader
from expt.train.executors.single import SingleExecutor, block_capacity
from expt.train.program import make_program

_CONF = Path(__file__).resolve().parent.parent / "conf"
_REGRESSION = {"log_cosh", "huber", "mae", "quantile", "poisson", "mse"}
_WITHOUT_DIGITS = {"custom", "gan", "keras_application", "vit", "resnet"}
_GROUPS = ("act", "loss", "optimizer", "schedule", "metric", "model", "features", "sizes")
_FEATURES = (
    ("model.dropout=0.2",),
    ("model.normalization=batch",),
    ("model.normalization=layer",),
    ("model.residual=true",),
    ("model.l2=1e-4",),
    ("optimizer.clipnorm=1",),
    ("optimizer.use_ema=true",),
    ("optimizer.gradient_accumulation_steps=2",),
    ("data.batch_size=512",),
    ("model=autoencoder", "loss=mse"),
    ("loop.precision=mixed_bfloat16",),
    ("model=vit", "model.dim=16", "model.depth=1", "model.heads=2", "model.patch=4"),
    ("model=resnet", "model.blocks=1"),
)
_SIZES = (
    *(("data=iris", f"model.units=[{units}]") for units in ("8", "16,16", "64,64")),
    *((f"model.units=[{units}]",) for units in ("16", "64,64", "128,128", "256,256", "512,512")),
    ("data.batch_size=16", "model.units=[256,256]"),
    ("data.batch_size=256", "model.units=[256,256]"),
    ("data.batch_size=256", "model.units=[1024,1024]"),
)


def main() -> None:
    """Prints a table for each group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=", ".join(_GROUPS), default=_GROUPS)
    parser.add_argument("--threads", type=int, default=2, help="loop.threads")
    arguments = parser.parse_args()
    print("| option | graph | xla | ratio | compiles longer (s) | pays after |")
    print("|---|---|---|---|---|---|")
    for group in arguments.groups:
        for case in _cases(group):
            print(_row((*case, f"loop.threads={arguments.threads}")), flush=True)


def _cases(group: str) -> Iterator[Sequence[str]]:
    if group in ("features", "sizes"):
        yield from _FEATURES if group == "features" else _SIZES
        return
    for file in sorted((_CONF / group).glob("*.yaml")):
        name = file.stem
        if group == "model" and name in _WITHOUT_DIGITS:
            continue
        if group == "metric":
            data = () if name not in ("mae", "r2", "rmse") else ("data=diabetes", "loss=mse")
            yield (*data, f"metric=[{name}]")
        elif group == "loss" and name in _REGRESSION:
            yield ("data=diabetes", f"loss={name}")
        elif name == "binary_crossentropy":
            yield ("data=breast_cancer", f"loss={name}")
        else:
            yield (f"{group}={name}",)


def _row(case: Sequence[str]) -> str:
    name = " ".join(case).replace("|", "\\|")
    try:
        (graph, built), (xla, built_xla) = (_measure(case, mode) for mode in ("graph", "xla"))
    except UserError as error:
        return f"| {name} | {' '.join(str(error).split())[:100]} | | | | |"
    longer, gain = built_xla - built, 1 / graph - 1 / xla
    steps = f"{longer / gain:,.0f}" if gain > 0 else "never"
    return f"| {name} | {graph:,.0f} | {xla:,.0f} | {xla / graph:.2f}x | {longer:.2f} | {steps} |"


def _measure(case: Sequence[str], mode: str) -> tuple[float, float]:
    """Returns the steps a second, and the seconds until the program is compiled."""
    given = [*case, f"loop.compile={mode}", "recorder=[]", "loop.epochs=100000"]
    (job,), _ = compose_jobs(given, None, multirun=False)
    dataset = DataLoader()(job)
    start_for(job.config)
    program = make_program(job, dataset)
    started = time.perf_counter()
    executor = SingleExecutor(program)
    built = time.perf_counter() - started
    timeline = program.timeline
    count = max(1, min(block_capacity(timeline.batch_size), 20 * timeline.steps_per_epoch))
    indices = timeline.indices(0, count)
    due = np.array([timeline.evaluates_after(step) for step in range(1, count + 1)])

    def run(count: int) -> float:
        started = time.perf_counter()
        executor._run_block(0, indices[:count], due[:count])
        return count / (time.perf_counter() - started)

    first = run(8)
    count = max(8, min(count, int(first * 0.5)))
    return statistics.median(run(count) for _ in range(4)), built


if __name__ == "__main__":
    main()
