import json
from pathlib import Path

from analysis.made_runs import write_journal
from expt.analysis.last_values import last_values


def test_only_the_end_of_a_journal_is_read(tmp_path: Path) -> None:
    write_journal(tmp_path, [{"step": 1, "train/loss": 1.0}])
    damage = "damage\n" * 200_000
    records = [{"step": step, "val/loss": float(step)} for step in range(2, 2000)]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(damage)
        file.writelines(json.dumps({"epoch": 1, "time": 1.0, **r}) + "\n" for r in records)
    assert last_values(tmp_path, "val/loss")[0]["step"] == 1999


def test_more_of_the_journal_is_read_to_find_a_wanted_metric(tmp_path: Path) -> None:
    records = [{"step": step, "train/loss": 1.0} for step in range(2, 4000)]
    write_journal(tmp_path, [{"step": 1, "val/loss": 7.0}, *records])
    assert last_values(tmp_path, "val/loss")[0]["val/loss"] == 7.0
    assert "val/loss" not in last_values(tmp_path, "train/loss")[0]
