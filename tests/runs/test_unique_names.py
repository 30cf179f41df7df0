import json
import subprocess
import sys
from pathlib import Path

from expt.runs.unique_names import NAMES_FILE, reserve_names


def test_name_in_use_gets_a_number(tmp_path: Path) -> None:
    assert reserve_names(tmp_path, "digits", ["mlp", "mlp", "cnn"]) == ["mlp", "mlp-2", "cnn"]
    assert reserve_names(tmp_path, "digits", ["mlp", "mlp-2"]) == ["mlp-3", "mlp-2-2"]


def test_experiments_have_separate_names(tmp_path: Path) -> None:
    assert reserve_names(tmp_path, "a", ["mlp"]) == reserve_names(tmp_path, "b", ["mlp"]) == ["mlp"]


def test_lost_or_damaged_file_is_recovered_from_records(tmp_path: Path) -> None:
    for kind, file, record in (
        ("runs", "run.json", {"name": "digits", "run_name": "mlp"}),
        ("sweeps", "sweep.json", {"name": "digits", "sweep_name": "act"}),
    ):
        folder = tmp_path / kind / "day" / "one"
        folder.mkdir(parents=True)
        (folder / file).write_text(json.dumps({"status": "FINISHED", "started": 1.0, **record}))
    damaged = tmp_path / "runs" / "day" / "two"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    assert reserve_names(tmp_path, "digits", ["mlp", "act"]) == ["mlp-2", "act-2"]
    (tmp_path / NAMES_FILE).write_text("[")
    assert reserve_names(tmp_path, "digits", ["mlp"]) == ["mlp-2"]


def test_nothing_is_written_without_folder(tmp_path: Path) -> None:
    assert reserve_names(tmp_path / "none", "digits", ["mlp", "mlp"]) == ["mlp", "mlp-2"]
    assert list(tmp_path.iterdir()) == []


def test_concurrent_processes_get_different_names(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from expt.runs.unique_names import reserve_names;"
        "print(*[reserve_names(Path(sys.argv[1]), 'e', ['mlp'])[0] for _ in range(20)])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    names = [name for one in started for name in one.communicate()[0].split()]
    assert len(names) == len(set(names)) == 60
