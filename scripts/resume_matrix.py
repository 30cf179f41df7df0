"""Interrupts and resumes a run of every model on every data source, with every optimizer in turn.

    python scripts/resume_matrix.py [--only TEXT]

Each combination is trained whole, and again with a Ctrl-C at a random step and a resume; weights,
optimizer state and journal must be the same bits. Each model meets each data source, and the
optimizers go round. Exit code 1 if one differs.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["EXPT_ALLOW"] = "contracts.user_parts"

from rich.console import Console

from contracts.contract import options_of
from contracts.example_data import FILES
from contracts.test_wholes import FOR_MODEL
from expt.errors import UserError
from resume.interrupting import assert_same, final_state, train

STEPS = 9
REGRESSION = ("diabetes", "linear")


def combinations() -> Iterator[tuple[str, str, str]]:
    """Yields model, data source and optimizer."""
    optimizers = options_of("optimizer")
    for row, model in enumerate(options_of("model")):
        for column, data in enumerate(options_of("data")):
            yield model, data, optimizers[(4 * row + column) % len(optimizers)]


def overrides_of(model: str, data: str, optimizer: str, files: Path) -> list[str]:
    """Returns what trains a combination for a few steps; makes the files that the source reads."""
    files.mkdir()
    needed = FILES[data](files) if data in FILES else []
    loss = [] if model in ("gan", "autoencoder") or data not in REGRESSION else ["loss=mse"]
    return [
        f"model={model}",
        f"data={data}",
        f"optimizer={optimizer}",
        "optimizer.learning_rate=0.0005",
        *FOR_MODEL.get(model, []),
        *needed,
        *loss,
        f"loop.steps={STEPS}",
        "loop.eval_every=4",
    ]


def main() -> int:
    """Prints a line a combination."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="combinations whose names hold this text")
    only = parser.parse_args().only
    console, draw = Console(soft_wrap=True), random.Random(0)  # noqa: S311
    counts = {"same bits": 0, "differs": 0, "does not fit": 0}
    began = time.perf_counter()
    for model, data, optimizer in combinations():
        name, at = f"{model} {data} {optimizer}", draw.randrange(1, STEPS)
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            result, why = _try(model, data, optimizer, at, Path(folder))
        counts[result] += 1
        console.print(f"{name:<48} interrupted at {at}/{STEPS}: {result}{why}", highlight=False)
    seconds = time.perf_counter() - began
    console.print(
        ", ".join(f"{count} {result}" for result, count in counts.items()) + f"; {seconds:.0f} s"
    )
    return 1 if counts["differs"] else 0


def _try(model: str, data: str, optimizer: str, at: int, folder: Path) -> tuple[str, str]:
    given = [*overrides_of(model, data, optimizer, folder / "files"), f"loop.save_every={at}"]
    try:
        expected = train(given, folder / "whole")
    except UserError as error:
        return "does not fit", f" ({str(error).splitlines()[0][:60]}…)"
    interrupted = train(given, folder / "parts", interrupt_at=at)
    if final_state(interrupted).step != at:
        return "differs", " (it was interrupted elsewhere)"
    try:
        assert_same(train(given, folder / "parts", resume=True), expected)
    except AssertionError as error:
        return "differs", f" ({error})"
    return "same bits", ""


if __name__ == "__main__":
    sys.exit(main())
