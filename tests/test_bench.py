"""The arithmetic of scripts/bench.py: measurements, tables, and the check of the losses."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.benchmark.contenders import Contender, Expt, Other
from scripts.benchmark.data import write_task
from scripts.benchmark.measurement import Measurement, printed_results, read_runs, run_process
from scripts.benchmark.rows import ROWS, Whole
from scripts.benchmark.tables import disagreements, ratios, table, verdict
from scripts.contenders.digits_jobs import parse_jobs

OUTPUTS = Path(__file__).parent / "older_records/project/outputs"
EXPT, PEER, BOUND = Expt(), Other("peer", []), Other("bound", [], is_bound=True)


def measured(
    *seconds: float, steps: int | None = 100, loss: float | None = None
) -> list[Measurement]:
    """Returns a measurement per round."""
    losses = {} if loss is None else {"train": loss, "validation": 2 * loss}
    return [Measurement(each, steps, 3.0, 512.0, losses) for each in seconds]


def test_ratios_are_those_of_the_rounds() -> None:
    assert ratios(measured(1.0, 2.0), measured(3.0, 1.0)) == [3.0, 0.5]


@pytest.mark.parametrize(
    ("contender", "seconds", "expected"),
    [
        (PEER, (2.0, 3.0), "expt"),
        (PEER, (0.5, 0.9), "**peer**"),
        (PEER, (0.5, 2.0), "tie"),
        (BOUND, (0.5, 0.9), "(does a part of the work)"),
    ],
)
def test_faster_side_is_named_if_the_rounds_agree(
    contender: Contender, seconds: Sequence[float], expected: str
) -> None:
    assert verdict(contender, measured(1.0, 1.0), measured(*seconds)) == expected


def test_table_has_medians_and_spread() -> None:
    rounds = [measured(1.0, 0.5, 0.25, loss=0.1), measured(2.0, 2.0, 1.0, loss=0.12)]
    rounds.append(measured(0.1, 0.1, 0.1))
    lines = table([EXPT, PEER, BOUND], rounds).splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] == [
        [
            *("contender", "steps/s", "lowest to highest", "memory, MB"),
            *("expt is … times as fast", "faster", "train loss", "validation loss"),
        ],
        ["---"] * 8,
        ["expt", "200", "100 to 400", "512", "", "", "0.1", "0.2"],
        ["peer", "50", "50 to 100", "512", "4.00x", "expt", "0.12", "0.24"],
        ["bound", "1,000", "1,000 to 1,000", "512", "0.20x", "(does a part of the work)", "", ""],
    ]


def test_whole_processes_are_compared_by_their_seconds() -> None:
    rounds = [measured(4.0, steps=None), measured(10.0, steps=None)]
    lines = table([EXPT, PEER], rounds).splitlines()
    assert lines[2] == "| expt | 4.0 | 4.0 to 4.0 | 3.0 | 512 |  |  |"
    assert lines[3] == "| peer | 10.0 | 10.0 to 10.0 | 3.0 | 512 | 2.50x | expt |"


def test_contender_with_another_loss_is_named() -> None:
    equal = [measured(1.0, loss=loss) for loss in (0.01, 0.011, 0.009)]
    assert disagreements(["a", "b", "c"], equal) == []
    for wrong in (0.02, 0.005, math.nan):
        found = disagreements(["a", "b", "c", "d"], [*equal, measured(1.0, loss=wrong)])
        assert [line.partition(" loss")[0] for line in found] == [
            "d: the train",
            "d: the validation",
        ]


def test_bound_without_training_is_not_compared() -> None:
    assert disagreements(["a", "b"], [measured(1.0, loss=0.01), measured(1.0)]) == []


def test_results_are_the_last_line_of_json() -> None:
    assert printed_results('{"steps": 1}\nEpoch 1\n{"steps": 2}\nbye\n') == {"steps": 2}
    assert printed_results("nothing\n") == {}


def test_process_is_measured(tmp_path: Path) -> None:
    code = "import os; x = bytearray(200 << 20); print(os.getcwd())"
    process = run_process([sys.executable, "-c", code], tmp_path)
    assert process.printed.strip() == str(tmp_path)
    assert process.megabytes > 200
    assert 0 < process.processor_seconds < 60
    assert process.measurement(2.0, 10).speed == 5.0
    assert process.measurement().seconds == process.seconds


def test_failed_process_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3(?s:.*)it broke"):
        run_process([sys.executable, "-c", "print('it broke'); raise SystemExit(3)"], tmp_path)


def test_losses_of_a_run_are_those_of_its_last_epoch() -> None:
    (run,) = read_runs(OUTPUTS / "runs/finished")
    rows = (OUTPUTS / "runs/finished/metrics.jsonl").read_text().splitlines()
    last = [eval(row, {"NaN": math.nan}) for row in rows]  # noqa: S307 (our own file)
    epoch = max(row["epoch"] for row in last)
    trained = [r["train/loss"] for r in last if r["epoch"] == epoch and "train/loss" in r]
    assert run.losses["train"] == pytest.approx(np.mean(trained))
    assert run.losses["validation"] == [r["val/loss"] for r in last if "val/loss" in r][-1]
    assert run.steps == max(row["step"] for row in last)


def test_contenders_get_the_full_batches_standardized(tmp_path: Path) -> None:
    batch_size = write_task(tmp_path / "task.npz", ["data=wine", "data.batch_size=50"], tmp_path)
    with np.load(tmp_path / "task.npz") as arrays:
        inputs, labels = arrays["x_train"], arrays["y_train"]
        held_out = arrays["x_validation"]
    assert batch_size == 50
    assert (len(inputs), inputs.dtype, labels.dtype) == (100, np.float32, np.int32)
    assert len(held_out) % 50 != 0
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=0.2)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=0.2)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if isinstance(row, Whole)])
def test_whole_scripts_train_as_many_jobs_as_expt(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expt, *others = ROWS[name].contenders(tmp_path, "python-with-torch")
    assert isinstance(expt, Expt)
    assert len(others) == 2
    for other in others:
        assert isinstance(other, Other)
        monkeypatch.setattr(sys, "argv", list(other.arguments[1:]))
        parser = argparse.ArgumentParser()
        parser.add_argument("--without-models", action="store_true")
        jobs, _ = parse_jobs(parser)
        assert len(set(jobs)) == expt.num_jobs
