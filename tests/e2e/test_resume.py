"""Interrupted runs, resumed by the command line."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from expt.train.checkpoint import checkpoint_files
from resume.interrupting import assert_same, final_state, journal
from resume.killing import kill, start
from resume.stores import assert_stores_agree, journal_values

# Large enough that a run lasts for seconds, and that saving a checkpoint takes some time.
SLOW = (
    "model.units=[400,400]",
    "model.dropout=0.2",
    "schedule=cosine",
    "loop.epochs=12",
    "loop.save_every=10",
    "loop.image_every=4ep",
)
_SECONDS_BETWEEN_LOOKS = 0.005  # a busy loop would take a core from the run
QUICK = ("recorder=[]", "loop.image_every=null", "model.units=[8]", "loop.epochs=4")


def record_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def wait_for_step(process: "subprocess.Popen[str]", directory: Path, step: int) -> None:
    """Waits until the journal has a step."""
    path = directory / "metrics.jsonl"
    while not path.exists() or f'{{"step": {step}, ' not in path.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(_SECONDS_BETWEEN_LOOKS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slow run that nothing disturbs."""
    root = tmp_path_factory.mktemp("undisturbed")
    process = start(SLOW, root / "run", root)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return root / "run"


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGTERM, 143, "Terminated"), (signal.SIGINT, 130, "KeyboardInterrupt")],
)
def test_signal_leaves_a_checkpoint_to_resume_from(
    tmp_path: Path, undisturbed: Path, number: signal.Signals, code: int, name: str
) -> None:
    directory = tmp_path / "run"
    process = start(SLOW, directory, tmp_path)
    wait_for_step(process, directory, 33)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert "To continue: python -m expt.resume run\n" in output
    record = record_of(directory)
    assert (record["status"], record["error"]) == ("KILLED", name)
    stopped_at = max(journal_values(directory)["train/loss"])
    assert final_state(directory).step == stopped_at >= 33

    process = start(SLOW, directory, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert f"from step {stopped_at}" in output
    assert_same(directory, undisturbed)
    assert_stores_agree(directory, f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (entry,) = record_of(directory)["resumed"]
    assert (entry["step"], entry["from"], entry["changes"]) == (stopped_at, "KILLED", {})


def test_run_killed_by_sigkill_and_resumed_equals_the_undisturbed_run(
    tmp_path: Path, undisturbed: Path
) -> None:
    """The run is killed while it saves a checkpoint, while it trains, and while it is closed."""
    directory = tmp_path / "run"
    process = start(SLOW, directory, tmp_path)
    wait_for_step(process, directory, 30)
    assert kill(process, directory, 0, in_save=True) == "killed in a save"
    assert record_of(directory)["status"] == "RUNNING"
    process = start(SLOW, directory, tmp_path)
    wait_for_step(process, directory, 80)
    assert kill(process, directory, 0, in_save=False) != "ended"
    process = start(SLOW, directory, tmp_path)
    while record_of(directory)["status"] != "FINISHED":  # the sinks still receive the last records
        assert process.poll() is None, process.communicate()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    assert kill(process, directory, 0, in_save=False) != "ended"
    assert not record_of(directory)["closed"]
    process = start(SLOW, directory, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert record_of(directory)["closed"]
    assert_same(directory, undisturbed)
    assert_stores_agree(directory, f"sqlite:///{tmp_path}/outputs/mlflow.db")
    assert not (directory / "checkpoints" / "partial-checkpoint.npz").exists()


def test_second_signal_ends_the_process_immediately(tmp_path: Path) -> None:
    # The first signal takes effect between blocks of steps. The large model makes a block so slow
    # that the second signal arrives before.
    directory = tmp_path / "run"
    process = start(
        [*SLOW, "model.units=[3000,3000]", "optimizer.learning_rate=1e-5"], directory, tmp_path
    )
    wait_for_step(process, directory, 8)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode in (130, 143), output  # whichever came second
    assert "Traceback" not in output


def test_running_run_is_left_alone(tmp_path: Path, run_command: Command) -> None:
    directory = tmp_path / "run"
    process = start(SLOW, directory, tmp_path)
    wait_for_step(process, directory, 8)
    refused = run_command("run", folder=tmp_path, command="resume")
    assert refused.code == 2
    assert f"is being trained by process {process.pid}" in refused.error
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    root = tmp_path_factory.mktemp("finished")
    done = run_command(*QUICK, "loop.save_every=7", f"hydra.run.dir={root}/run", folder=root)
    assert done.code == 0, done.error
    return root / "run"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_finished_run_is_not_trained_again(copied: Path, run_command: Command) -> None:
    before = (copied / "run.json").read_bytes()
    done = run_command("run", folder=copied.parent, command="resume")
    assert (done.code, done.error) == (0, "")
    assert done.out.endswith("\nrun is finished; loop.epochs=… extends it\n")
    assert (copied / "run.json").read_bytes() == before


def test_finished_run_is_extended(copied: Path, run_here: Command, tmp_path: Path) -> None:
    done = run_here("run", "loop.epochs=6", folder=copied.parent, command="resume")
    assert done.code == 0, done.error
    record = record_of(copied)
    assert [entry["changes"] for entry in record["resumed"]] == [{"loop.epochs": 6}]
    assert [entry["from"] for entry in record["resumed"]] == ["FINISHED"]
    whole = tmp_path / "whole"
    done = run_here(
        *QUICK, "loop.epochs=6", "loop.save_every=7", f"hydra.run.dir={whole}", folder=tmp_path
    )
    assert done.code == 0, done.error
    assert record["run_hash"] == record_of(whole)["run_hash"]
    steps = record["final"]["step"] * 4 // 6
    extended = journal(copied)
    (tested,) = [r for r in extended if r["step"] == str(steps) and "test/loss" in r]
    extended.remove(tested)
    assert extended == journal(whole)
    # The next process uses the extended config.
    assert "is finished" in run_here("run", folder=copied.parent, command="resume").out


def test_damaged_checkpoint_is_reported_and_the_previous_one_is_used(
    copied: Path, finished: Path, run_here: Command
) -> None:
    newest, before, *_ = checkpoint_files(copied / "checkpoints")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    record = record_of(copied)
    (copied / "run.json").write_text(json.dumps({**record, "status": "KILLED"}))
    done = run_here("run", folder=copied.parent, command="resume")
    assert done.code == 0, done.error
    assert f"checkpoints/{newest.name} is damaged" in done.error
    assert record_of(copied)["resumed"][0]["step"] == int(before.name[5:12])
    assert_same(copied, finished)


def test_run_without_checkpoints_starts_over(
    copied: Path, finished: Path, run_here: Command
) -> None:
    shutil.rmtree(copied / "checkpoints")
    record = record_of(copied)
    (copied / "run.json").write_text(json.dumps({**record, "status": "FAILED"}))
    done = run_here("run", folder=copied.parent, command="resume")
    assert done.code == 0, done.error
    assert_same(copied, finished)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("config", "optimizer.learning_rate: 0.001 in the checkpoint, 0.002 here"),
        ("model", "dense/kernel: missing in the checkpoint, float32 [64, 9] here"),
        ("data", "the data has changed since"),
        ("journal", "metrics.jsonl"),
    ],
)
def test_changed_config_data_or_record_is_refused(
    copied: Path, run_here: Command, change: str, expected: str
) -> None:
    record = record_of(copied)
    config = copied / ".hydra" / "config.yaml"
    text = config.read_text()
    if change == "config":
        config.write_text(text.replace("learning_rate: 0.001", "learning_rate: 0.002"))
    elif change == "model":
        config.write_text(text.replace("units:\n  - 8", "units:\n  - 9"))
        expected = "model.units: [8] in the checkpoint, [9] here"
    elif change == "data":
        record["data"]["fingerprint"] = "0" * 16
    else:
        journal_file = copied / "metrics.jsonl"
        lines = journal_file.read_bytes().splitlines(keepends=True)
        lines[3] = lines[3][:10] + b"\xff" + lines[3][11:]
        journal_file.write_bytes(b"".join(lines))
        expected = "line 4"
    (copied / "run.json").write_text(json.dumps({**record, "status": "KILLED"}))
    before = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file() and p.name != "run.log"}
    done = run_here("run", folder=copied.parent, command="resume")
    assert (done.code, "Traceback" in done.error) == (2, False), done.error
    assert expected in done.error
    after = {p: p.read_bytes() for p in before}
    assert after == before


def test_other_model_with_the_same_config_is_refused(tmp_path: Path, run_command: Command) -> None:
    package = tmp_path / "mine.py"
    code = (
        "import keras\n"
        "def build(input_shape, num_outputs, act):\n"
        "    return keras.Sequential([keras.layers.Flatten(),"
        " keras.layers.Dense(8), keras.layers.Dense(num_outputs)])\n"
    )
    package.write_text(code)
    allowed = {"EXPT_ALLOW": "mine"}
    given = ["model=custom", "model._target_=mine.build", *QUICK[:2], "loop.epochs=2"]
    done = run_command(
        *given, f"hydra.run.dir={tmp_path}/run", folder=tmp_path, environment=allowed
    )
    assert done.code == 0, done.error
    package.write_text(code.replace("Dense(8)", "Dense(7)"))
    extend = ["run", "loop.epochs=3", "--allow-code-change"]
    done = run_command(*extend, folder=tmp_path, environment=allowed, command="resume")
    assert done.code == 2
    assert "the checkpoint is of another model or optimizer" in done.error
    assert "dense/kernel: float32 [64, 8] in the checkpoint, float32 [64, 7] here" in done.error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "there is no such run"),
        (["run", "act=tanh"], "a resumed run can't change what its steps do"),
        (["run", "loop.epochs=two"], "expected a whole number"),
        (["run", "loop.epochs=2"], "the run has done"),
        (["run", "loop.epochs=5,6"], "one value"),
    ],
)
def test_user_errors_are_reported(
    copied: Path, run_here: Command, arguments: list[str], expected: str
) -> None:
    done = run_here(*arguments, folder=copied.parent, command="resume")
    assert (done.code, "Traceback" in done.error) == (2, False), done.error
    assert expected in done.error


def test_recorded_config_is_trained_again(copied: Path, run_here: Command) -> None:
    root = copied.parent
    done = run_here("--rerun", "run", f"output_dir={root}/new", folder=root)
    assert done.code == 0, done.error
    (again,) = (root / "new/runs").glob("*/*")
    assert_same(again, copied)
    assert record_of(again)["run_hash"] == record_of(copied)["run_hash"]
    done = run_here("--rerun", str(again), "seed=1", f"output_dir={root}/other", folder=root)
    assert done.code == 0, done.error
    (other,) = (root / "other/runs").glob("*/*")
    assert record_of(other)["variant_hash"] == record_of(copied)["variant_hash"]
    assert journal(other) != journal(copied)


def test_commands_start_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from expt import evaluate, export, predict, resume, run, sync, verify\n"
        "assert not {'tensorflow', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
