"""Sweeps as a user starts, disturbs and resumes them."""

import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from mlflow_helpers import assert_store_equals_files

import ready_processes
from conftest import Command
from e2e.sweeping import (
    TINY,
    assert_same_run,
    finish,
    is_training,
    jobs_of,
    kill,
    mlflow_sweep,
    new_project,
    plan_of,
    record_of,
    started,
    statuses,
    sweep_arguments,
    sweep_of,
    until,
    until_gone,
)
from expt.record.values import format_value

# The loss (sweep_project/troubled.py) sleeps 0.1 s in each step after the 25th, so that a signal
# arrives while a job trains. If the project contains a file `trouble_is_over`, nothing is slow.
SLOW = sweep_arguments(
    "loss=troubled", "loss.trouble=slow", "act=relu,tanh", "seed=0,1", "sweep.workers=1"
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after a sweep that nothing disturbs."""
    folder = new_project(tmp_path_factory.mktemp("undisturbed"))
    (folder / "trouble_is_over").touch()
    code, output = finish(folder, *SLOW, is_fresh=True)
    assert code == 0, output
    (folder / "output").write_text(output)
    return folder


def test_sweep_prints_and_records_its_results(undisturbed: Path) -> None:
    plan, output = plan_of(undisturbed), (undisturbed / "output").read_text()
    assert (plan["status"], statuses(undisturbed)) == ("FINISHED", ["FINISHED"] * 4)
    assert plan["started"] < plan["ended"]
    assert [job["variant"] for job in plan["jobs"]] == ["act=relu"] * 2 + ["act=tanh"] * 2
    lines = output.splitlines()
    (first,) = [line for line in lines if line.startswith("sweep ")]
    place = sweep_of(undisturbed).relative_to(undisturbed)
    assert re.fullmatch(
        rf"sweep act in {place}: 4 jobs, 1 at a time, about [\d.]+ (s|min.*)", first
    )
    for number, job in enumerate(jobs_of(undisturbed), 1):
        name = record_of(job)["run_name"]
        (line,) = [line for line in lines if line.startswith(f"{number}/4 FINISHED {name}  ")]
        assert f"test/accuracy {format_value(record_of(job)['final']['test/accuracy'])}" in line
    (ended,) = [line for line in lines if line.startswith("4 of 4 jobs finished")]
    assert re.fullmatch(r"4 of 4 jobs finished in .* (s|min)", ended)
    best = min(jobs_of(undisturbed), key=lambda job: record_of(job)["best"]["val/loss"])
    value = format_value(record_of(best)["best"]["val/loss"])
    assert f"★ best single job  {record_of(best)['run_name']}  val/loss {value}" in lines
    assert f"report  {place}/summary/report.html" in lines
    assert {file.name for file in (sweep_of(undisturbed) / "summary").iterdir()} >= {
        "table.md",
        "report.html",
        "plots",
    }
    for job in jobs_of(undisturbed):
        record = record_of(job)
        assert (record["status"], record["closed"], record["error"]) == ("FINISHED", True, None)
        assert record["sweep"]["id"] == plan["id"]
        assert (job / "run.log").exists()


def test_mlflow_has_a_run_for_the_sweep_above_those_of_its_jobs(undisturbed: Path) -> None:
    parent, children = mlflow_sweep(undisturbed)
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == plan_of(undisturbed)["sweep_name"] == "act"
    note = parent.data.tags["mlflow.note.content"]
    assert re.match(r"act=(relu|tanh) has the lowest val/loss \(best checkpoint\): ", note)
    assert "\n\n|  | act | best val/loss" in note
    assert all(f" {act} |" in note for act in ("relu", "tanh"))
    artifacts = Path(parent.info.artifact_uri.removeprefix("file://")) / "summary"
    expected = sweep_of(undisturbed) / "summary"
    assert {file.relative_to(artifacts) for file in artifacts.rglob("*")} == {
        file.relative_to(expected) for file in expected.rglob("*")
    }
    store = f"sqlite:///{undisturbed}/outputs/mlflow.db"
    for number, job in enumerate(jobs_of(undisturbed)):
        run = children[job.name]
        assert run.info.status == "FINISHED"
        assert run.data.tags["variant"] == ("act=relu", "act=tanh")[number // 2]
        assert run.data.tags["seed"] == str(number % 2)
        assert_store_equals_files(job, store)


def test_job_equals_the_same_single_run(undisturbed: Path, tmp_path: Path) -> None:
    """A job is independent of the two jobs that its worker trained before it."""
    folder = new_project(tmp_path)
    (folder / "trouble_is_over").touch()
    overrides = plan_of(undisturbed)["jobs"][2]["overrides"]
    alone = [f"hydra.run.dir={folder}/alone", "recorder=[]"]
    code, output = finish(folder, "--config-dir", "conf", *overrides, *alone)
    assert code == 0, output
    assert_same_run(jobs_of(undisturbed)[2], folder / "alone")


def test_finished_sweep_is_not_trained_again(undisturbed: Path) -> None:
    before = (sweep_of(undisturbed) / "sweep.json").read_bytes()
    cpu = sum(psutil.Process().cpu_times()[2:4])  # of the child processes that have ended
    code, output = finish(undisturbed, "latest", command="resume", is_fresh=True)
    assert code == 0
    first, best, report = output.splitlines()[-3:]
    assert first == "4 of 4 jobs finished"
    assert best in (undisturbed / "output").read_text()
    assert report == f"report  {sweep_of(undisturbed).relative_to(undisturbed)}/summary/report.html"
    # The command must not import TensorFlow, which alone takes longer. Measured in processor time,
    # since the machine may be busy.
    assert sum(psutil.Process().cpu_times()[2:4]) - cpu < 4
    assert (sweep_of(undisturbed) / "sweep.json").read_bytes() == before


def test_sweep_reuse_skips_jobs_with_a_finished_run(undisturbed: Path) -> None:
    code, output = finish(
        undisturbed, *SLOW, "sweep.reuse=true", f"hydra.sweep.dir={undisturbed}/again"
    )
    assert code == 0, output
    lines = [line for line in output.splitlines() if line.startswith("REUSED ")]
    assert [line.split()[-1] for line in lines] == [
        str(job.relative_to(undisturbed)) for job in jobs_of(undisturbed)
    ]
    assert "4 of 4 jobs finished" in output
    assert not list(undisturbed.glob("again/*/run.json"))


def test_ctrl_c_closes_all_runs_and_the_sweep_can_be_resumed(
    tmp_path: Path, undisturbed: Path
) -> None:
    folder = new_project(tmp_path)
    with started(folder, *SLOW) as process:
        until(lambda: is_training(folder), process)
        workers = ready_processes.descendants(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert f"python -m expt.resume {sweep_of(folder).relative_to(folder)}\n" in output
    until_gone(workers)
    assert (plan_of(folder)["status"], statuses(folder)) == (
        "KILLED",
        ["KILLED", "PENDING", "PENDING", "PENDING"],
    )
    record = record_of(jobs_of(folder)[0])
    assert (record["status"], record["closed"]) == ("KILLED", True)
    parent, children = mlflow_sweep(folder)
    assert [parent.info.status, *(run.info.status for run in children.values())] == ["KILLED"] * 2

    # The sweep is resumed with the configs that it froze, not with the files of today.
    (folder / "conf/loss/troubled.yaml").write_text("_target_: troubled.gone\n")
    (folder / "trouble_is_over").touch()
    code, output = finish(folder, "latest", command="resume")
    assert code == 0, output
    assert statuses(folder) == ["FINISHED"] * 4
    ids = {name: run.info.run_id for name, run in children.items()}
    resumed, children = mlflow_sweep(folder)
    assert resumed.info.run_id == parent.info.run_id
    assert ids.items() <= {name: run.info.run_id for name, run in children.items()}.items()
    assert {run.info.status for run in (resumed, *children.values())} == {"FINISHED"}
    for job, expected in zip(jobs_of(folder), jobs_of(undisturbed), strict=True):
        assert_same_run(job, expected)
        assert_store_equals_files(job, f"sqlite:///{folder}/outputs/mlflow.db")


def test_second_signal_ends_all_processes_immediately(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    stuck = sweep_arguments("loss=troubled", "loss.trouble=none,stuck", "recorder=mlflow")
    with started(folder, *stuck, "sweep.workers=1") as process:
        until((folder / "stuck.process").exists, process)
        workers = ready_processes.descendants(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        output, _ = process.communicate(timeout=60)
    assert process.returncode in (130, 143), output  # whichever came second
    assert "Traceback" not in output
    assert time.monotonic() - began < 10  # a stuck step lasts for an hour
    until_gone(workers)
    # The processes were killed before they could close anything; `expt.sync` does it for them.
    code, output = finish(folder, command="sync")
    assert code == 0, output
    assert "the sweep's process has died; closed as KILLED" in output
    assert plan_of(folder)["status"] == "KILLED"
    parent, children = mlflow_sweep(folder)
    assert parent.info.status == "KILLED"
    assert sorted(run.info.status for run in children.values()) == ["FINISHED", "KILLED"]


TROUBLES = ["diverge", "raise", "kill", "stuck", *(["none"] * 8)]
TWELVE = sweep_arguments(
    "loss=troubled",
    f"loss.trouble={','.join(TROUBLES)}",
    "seed=range(0,12)",
    "sweep.zip=[loss.trouble,seed]",
    "sweep.timeout=20s",
    "sweep.workers=2",
    "recorder=mlflow",
)


def test_failed_job_does_not_affect_the_others(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    with started(folder, *TWELVE) as process:
        until((folder / "kill.process").exists, process)
        kill(folder / "kill.process")
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if " FAILED " in line and "LookupError" in line:
                assert "PENDING" in statuses(folder)  # reported immediately, not at the end
        code = process.wait(60)
    output = "".join(lines)
    assert code == 1, output
    assert statuses(folder) == ["FAILED"] * 4 + ["FINISHED"] * 8, output
    reasons = [job["error"] for job in plan_of(folder)["jobs"]]
    assert "train/loss became nan" in reasons[0]
    assert "LookupError: no such" in reasons[1]
    assert reasons[2:4] == [
        "its process was killed by SIGKILL",
        "it took longer than sweep.timeout=20 seconds",
    ]
    assert reasons[4:] == [None] * 8
    assert "8 of 12 jobs finished" in output
    by_directory = {job["directory"]: job["run_name"] for job in plan_of(folder)["jobs"]}
    for job, reason in zip(jobs_of(folder)[:4], reasons, strict=False):
        name = by_directory[job.name]
        (reported,) = [line for line in lines if f" {name} " in line and " FAILED " in line]
        assert reason.splitlines()[0] in reported
        record = record_of(job)
        assert (record["status"], record["error"], record["closed"]) == ("FAILED", reason, True)
    log = (jobs_of(folder)[1] / "run.log").read_text()
    assert "Traceback" in log
    assert "LookupError: no such\nword" in log
    parent, children = mlflow_sweep(folder)
    assert parent.info.status == "FAILED"
    assert [children[job.name].info.status for job in jobs_of(folder)] == statuses(folder)

    (folder / "trouble_is_over").touch()
    finished = [record_of(job) for job in jobs_of(folder)[4:]]
    code, output = finish(folder, "--retry-failed", "latest", command="resume")
    assert code == 1, output
    assert statuses(folder) == ["FAILED"] + ["FINISHED"] * 11  # `diverge` fails again
    assert [record_of(job) for job in jobs_of(folder)[4:]] == finished
    parent, children = mlflow_sweep(folder)
    assert [children[job.name].info.status for job in jobs_of(folder)] == statuses(folder)
    assert "11 of 12 jobs finished" in output


def test_max_failures_prevents_further_jobs_from_starting(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    code, output = finish(
        folder,
        *sweep_arguments("loss=troubled", "loss.trouble=none,raise,none,none", "seed=0,1,2,3"),
        "sweep.zip=[loss.trouble,seed]",
        "sweep.max_failures=1",
        "sweep.workers=1",
        "recorder=[]",
    )
    assert code == 1, output
    assert statuses(folder) == ["FINISHED", "FAILED", "PENDING", "PENDING"]
    assert plan_of(folder)["status"] == "FAILED"
    directory = sweep_of(folder).relative_to(folder)
    assert f"python -m expt.resume {directory}" in output
    assert f"To retry the failed jobs: python -m expt.resume --retry-failed {directory}" in output

    # Failures of previous processes do not count towards sweep.max_failures.
    code, output = finish(folder, "latest", command="resume")
    assert code == 1, output
    assert statuses(folder) == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]


def test_untrainable_kinds_are_reported_before_any_job_starts(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    troubles = "loss.trouble=none,shape,infinite"
    sweep = sweep_arguments("loss=troubled", troubles, "seed=0,1", "sweep.workers=1")
    code, output = finish(folder, *sweep)
    assert code == 2, output
    assert "Traceback" not in output
    assert "2 of 3 kinds of jobs can't be trained; no job was started." in output
    assert "loss.trouble=shape: loss: it returned the shape" in output
    assert "loss.trouble=infinite: loss: it is not finite" in output
    assert not (folder / "outputs").exists()

    # Nor is anything left in a folder that the user has chosen.
    chosen = f"hydra.sweep.dir={folder}/chosen"
    code, output = finish(folder, *sweep, chosen)
    assert code == 2, output
    assert not list(folder.glob("chosen/*/"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sweep.workers=0", "sweep.workers=0"),
        ("sweep.timeout=abc", "sweep.timeout: 'abc' is not a duration"),
        ("sweep.max_failures=-1", "sweep.max_failures=-1"),
        ("sweep.reuse=perhaps", "sweep.reuse"),
        ("sweep.zip=[act,seed]", "act needs several values"),
        ("sweep.worker=2", "sweep.worker"),
    ],
)
def test_invalid_sweep_keys_are_reported(
    run_command: Command, tmp_path: Path, given: str, message: str
) -> None:
    done = run_command("-m", "seed=0,1", given, folder=tmp_path)
    assert done.code == 2
    assert "sweep " not in done.out  # the line that announces a sweep
    assert "Traceback" not in done.error
    assert message in done.error
    assert list(tmp_path.iterdir()) == []


def test_sweeper_of_hydra_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    code, output = finish(folder, *sweep_arguments("act=relu,tanh", "hydra/sweeper=basic"))
    assert code == 2, output
    assert "error: hydra/sweeper=basic: expt has its own sweepers" in output
    assert not (folder / "outputs").exists()


def test_two_sweeps_of_four_workers_share_one_store(tmp_path: Path) -> None:
    folder = new_project(tmp_path)
    given = [*TINY, "sweep.workers=4", "recorder=mlflow"]
    with (
        started(folder, "-m", *given, "seed=0,1,2,3") as one,
        started(folder, "-m", *given, "seed=4,5,6,7") as other,
    ):
        outputs = [process.communicate(timeout=240)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], outputs
    jobs = [file.parent for file in folder.glob("outputs/sweeps/*/*/*/run.json")]
    assert sorted(record_of(job)["seed"] for job in jobs) == list(range(8))
    logs = [(job / "run.log").read_text() for job in jobs]
    assert not [text for text in (*logs, *outputs) if "locked" in text or "Traceback" in text]
    for job in jobs:
        assert_store_equals_files(job, f"sqlite:///{folder}/outputs/mlflow.db")
