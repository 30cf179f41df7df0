import json
import os
from pathlib import Path
from typing import Any

import pytest

from analysis.made_runs import write_journal, write_run
from expt.analysis.compared_run import read_compared

DEAD = {"host": os.uname().nodename, "id": os.getpid(), "started": 0.0}
CONFIG = """\
seed: 3
act:
  _target_: keras.layers.ReLU
optimizer:
  learning_rate: 0.01
metric:
  accuracy:
    _target_: a.b
    _direction_: max
  mae:
    k: 2
"""


def test_a_finished_run_is_read_from_run_json(tmp_path: Path) -> None:
    git = {"commit": "abc", "dirty": True}
    run = read_compared(write_run(tmp_path / "run", {"act": "tanh"}, seed=4, git=git))
    assert (run.status, run.reason, run.seed, run.step) == ("FINISHED", None, 4, 50)
    assert run.params["act"] == "tanh"
    assert run.overridden == {"act"}
    assert run.metrics["val/loss"] == run.metrics["best/val/loss"] == 0.5
    assert run.costs == {
        "steps_per_s": 25.0,
        "seconds": 4.0,
        "parameters": 1000.0,
        "peak_memory": 5e8,
    }
    assert (run.monitor, run.commit) == ("val/loss", "abc+")
    assert run.larger_is_better == {"accuracy"}


def test_the_time_between_interruption_and_resume_is_not_counted(tmp_path: Path) -> None:
    resumed = [{"time": 5000.0, "changes": {}}]
    run = read_compared(write_run(tmp_path, resumed=resumed, ended=6000.0))
    assert run.costs["seconds"] == 2.0


def older(directory: Path) -> Path:
    """Writes a run of an older version, whose record has no `params`."""
    write_run(directory)
    record = json.loads((directory / "run.json").read_text())
    for key in ("params", "larger_is_better", "watched", "peak_memory"):
        del record[key]
    (directory / "run.json").write_text(json.dumps(record))
    return directory


def test_parameters_of_older_records_come_from_the_config(tmp_path: Path) -> None:
    directory = older(tmp_path)
    (directory / ".hydra").mkdir()
    (directory / ".hydra" / "config.yaml").write_text(CONFIG)
    run = read_compared(directory)
    expected = {"act": "relu", "optimizer.learning_rate": 0.01, "seed": 3, "metric.mae.k": 2}
    assert expected.items() <= run.params.items()
    assert "act._target_" not in run.params
    assert run.larger_is_better == {"accuracy"}
    assert run.monitor == "val/loss"


@pytest.mark.parametrize("config", [None, "", "{", "[]", "1: 2", "a: &a [*a]"])
def test_without_a_config_only_the_choices_are_parameters(
    config: str | None, tmp_path: Path
) -> None:
    directory = older(tmp_path)
    if config is not None:
        (directory / ".hydra").mkdir()
        (directory / ".hydra" / "config.yaml").write_text(config)
    run = read_compared(directory)
    assert run.status == "FINISHED"
    assert run.params["act"] == "relu"


def test_a_target_given_on_the_command_line_is_a_parameter(tmp_path: Path) -> None:
    run = read_compared(write_run(tmp_path, overrides=["model=custom", "model._target_=my.build"]))
    assert run.params["model._target_"] == "my.build"


@pytest.mark.parametrize(
    ("direction", "larger"), [("max", {"accuracy", "val/cost"}), ("min", {"accuracy"})]
)
def test_an_explicit_direction_applies_to_the_monitored_metric(
    direction: str, larger: set[str], tmp_path: Path
) -> None:
    best = {"step": 1, "watched": "val/cost", "val/cost": 2.0}
    run = read_compared(write_run(tmp_path, {"loop.direction": direction}, best=best))
    assert run.larger_is_better == larger


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff", b"[]", b"{}", b'{"status": "FINISHED", "started": "now"}'),
        b'{"status": "FINISHED", "started": 1, "final": 7}',
        b'{"status": "FINISHED", "started": 1, "params": []}',
        b'{"status": "FINISHED", "started": 1, "overrides": [7]}',
        b'{"status": "FINISHED", "started": 1, "seed": "x"}',
    ],
)
def test_a_damaged_record_is_unreadable(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    run = read_compared(tmp_path)
    assert run.status == "UNREADABLE"
    assert "run.json" in (run.reason or "")


@pytest.mark.parametrize(
    "fields",
    [
        {"final": {"step": "x", "val/loss": "nan", "val/accuracy": None, "a/b": True}},
        {"best": {"watched": 7, "val/loss": [1]}},
        {"git": {"commit": ["a"]}},
        {"data": {"fingerprint": 7}, "choices": {"act": {"x": 1}}},
        {"params": {"act": {"nested": [1]}, "loop.direction": 7}},
    ],
)
def test_values_of_unexpected_types_raise_no_error(fields: dict[str, Any], tmp_path: Path) -> None:
    assert read_compared(write_run(tmp_path, **fields)).status in ("FINISHED", "UNREADABLE")


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    final = {"step": 9, "val/loss": float("nan"), "val/accuracy": 0.25}
    run = read_compared(write_run(tmp_path, final=final, best=None))
    assert run.metrics == {"val/accuracy": 0.25}


class TestUnfinished:
    def test_last_values_come_from_the_journal(self, tmp_path: Path) -> None:
        directory = write_run(tmp_path, status="FAILED", error="ValueError: no\nmore", final=None)
        records = [{"step": 1, "train/loss": 3.0}, {"step": 2, "train/loss": 2.0}]
        write_journal(directory, [*records, {"step": 2, "val/loss": 1.0}], end='{"step": 3, ')
        run = read_compared(directory)
        assert (run.status, run.reason, run.step) == ("FAILED", "ValueError: no", 2)
        assert (run.metrics["train/loss"], run.metrics["val/loss"]) == (2.0, 1.0)

    def test_a_run_whose_process_died_is_killed(self, tmp_path: Path) -> None:
        run = read_compared(write_run(tmp_path, status="RUNNING", process=DEAD, final=None))
        assert run.status == "KILLED"
        assert run.reason == "the process ended without closing the run"

    def test_a_damaged_journal_is_the_reason(self, tmp_path: Path) -> None:
        directory = write_run(tmp_path, status="FAILED", final=None)
        write_journal(directory, [{"step": 1, "train/loss": 3.0}])
        with (directory / "metrics.jsonl").open("a") as file:
            file.write("damage\nmore\n{}\n")
        assert "is damaged in line 2" in (read_compared(directory).reason or "")
