"""The command line as a user types it: errors, help, sweeps, signals, custom packages."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ready_processes
from conftest import Command, Train
from expt.record.journal import read_journal

# Runs the command, and prints on exit which of TensorFlow and MLflow its process has imported. It
# needs a new interpreter: a process forked by `ready_processes` has imported both.
_SPY = """
import atexit, sys
heavy = ("tensorflow", "mlflow")
atexit.register(lambda: print("imported", *[name for name in heavy if name in sys.modules]))
sys.argv = ["run.py", *sys.argv[1:]]
from expt.run import main
main()
"""


def _spied(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _SPY, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["act=rellu"], ["act=rellu", "'relu'", "leaky_relu"]),
        (["loop.epochs=abc"], ["loop.epochs=abc", "whole number"]),
        (["loop.epochs=-1"], ["loop.epochs=-1", "at least 1"]),
        (["optimizer.lr=1"], ["'lr'", "'learning_rate'"]),
        (["loss=crossentropy", "data=diabetes"], ["regression", "mse"]),
        (["data=mnist"], ["data/mnist", "mnist.npz", "train-images-idx3-ubyte"]),
        (["-m", "act=relu,tanhh"], ["act=tanhh", "'tanh'"]),
        (["--cfg", "job", "act=rellu"], ["'relu'"]),
        (["loss._target_=os.system"], ["not allowed", "EXPT_ALLOW"]),
        (["--config-dir", "nowhere"], ["nowhere"]),
        (["+hydra.callbacks.x._target_=os.system"], ["hydra.callbacks.x", "not allowed"]),
    ],
)
def test_user_error_is_reported_without_tensorflow_and_leaves_no_files(
    arguments: list[str], messages: list[str], tmp_path: Path
) -> None:
    done = _spied(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for text in messages:
        assert text in done.stderr
    assert done.stdout.splitlines()[-1] == "imported"  # below the lines of slow phases
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=cnn", "data=diabetes", "loss=mse"], "model=cnn needs images"),
        (["optimizer.beta_1=abc"], "the step can't be compiled: "),
    ],
)
def test_user_error_found_while_building_leaves_no_files(
    arguments: list[str], message: str, run_here: Command, tmp_path: Path
) -> None:
    done = run_here(*arguments, folder=tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"error: {message}")
    assert "Traceback" not in done.error
    assert not list(tmp_path.iterdir())


def test_full_error_shows_the_traceback(run_command: Command, tmp_path: Path) -> None:
    done = run_command("act=rellu", folder=tmp_path, environment={"HYDRA_FULL_ERROR": "1"})
    assert done.code == 2
    assert "Traceback" in done.error


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_help_and_config_do_not_import_tensorflow(arguments: list[str], tmp_path: Path) -> None:
    done = _spied(tmp_path, *arguments)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "imported"
    assert "leaky_relu" in done.stdout or "_target_: keras.layers.ReLU" in done.stdout
    assert not list(tmp_path.iterdir())


def test_any_text_arrives_unchanged_in_the_config(tmp_path: Path) -> None:
    (tmp_path / "my conf" / "act").mkdir(parents=True)
    (tmp_path / "my conf/act/größe.yaml").write_text("_target_: keras.layers.Activation\n")
    typed = {"separator": ";", "target": "petal width (cm)", "path": "~/a=1, b.csv", "weight": "价"}
    options = [f"data.{key}={text}" for key, text in typed.items()]
    given = ["data=csv", "act=größe", *options, "output_dir=~/x", "--cfg", "job"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = ready_processes.run(
        # The flags are between the overrides and after them.
        [sys.executable, "-m", "expt.run", *given[:2], "--config-dir=~/my conf", *given[2:]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    config = yaml.safe_load(done.stdout)
    assert {key: config["data"][key] for key in typed} == typed
    assert config["output_dir"] == "~/x"
    assert config["act"]["_target_"] == "keras.layers.Activation"


def test_sweep_runs_every_job_and_reports_the_failed_one(
    run_command: Command, tmp_path: Path
) -> None:
    done = run_command(
        "-m",
        "data=linear",
        "model=linear",
        "loss=mse",
        "optimizer=sgd",
        "optimizer.learning_rate=0.1,1e8",
        "seed=0,1",
        "loop.epochs=2",
        folder=tmp_path,
    )
    assert done.code == 1
    failed = [line for line in done.out.splitlines() if re.match(r"\d/4 FAILED ", line)]
    assert ["train/loss became " in line for line in failed] == [True, True]
    assert "Traceback" not in done.out + done.error
    (sweep,) = (tmp_path / "outputs/sweeps").glob("*/*")
    records = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/run.json")}
    assert len(records) == 4
    for name, record in records.items():
        assert record["status"] == ("FAILED" if "100000000.0" in name else "FINISHED")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'expt'")
    all_runs = client.search_runs([experiment.experiment_id])
    runs = [run for run in all_runs if "mlflow.parentRunId" in run.data.tags]
    assert len(all_runs) == 5
    assert sorted(run.info.status for run in runs) == ["FAILED"] * 2 + ["FINISHED"] * 2
    assert {run.info.run_id for run in runs} == {
        record["mlflow"]["run_id"] for record in records.values()
    }


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_signal_closes_the_run_as_killed(number: int, code: int, tmp_path: Path) -> None:
    process = ready_processes.Popen(
        [sys.executable, "-m", "expt.run", "loop.epochs=100000", "recorder=tensorboard"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "epoch" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in error
    (path,) = (tmp_path / "outputs/runs").glob("*/*/run.json")
    record = json.loads(path.read_text())
    assert record["status"] == "KILLED"
    assert (path.parent / "model.keras").is_file()
    steps = [
        line["step"] for line in read_journal(path.parent / "metrics.jsonl") if "train/loss" in line
    ]
    assert steps == list(range(1, len(steps) + 1))


def test_processes_started_together_share_a_new_store(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "expt.run", "loop.epochs=1", "loop.image_every=null"]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert errors == ["", ""]
    records = [json.loads(p.read_text()) for p in tmp_path.glob("outputs/runs/*/*/run.json")]
    assert len({record["mlflow"]["run_id"] for record in records}) == 2
    assert len({record["run_hash"] for record in records}) == 1


def test_address_of_a_custom_store_is_not_printed(run_command: Command, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/secret.db"
    done = run_command(
        "loop.epochs=1", folder=tmp_path, environment={"MLFLOW_TRACKING_URI": address}
    )
    assert done.code == 0, done.error
    assert "secret" not in done.out + done.error
    assert (tmp_path / "secret.db").is_file()
    assert not (tmp_path / "outputs/mlflow.db").exists()


def test_custom_config_folder_and_package_are_used(run_command: Command, tmp_path: Path) -> None:
    (tmp_path / "conf/loss").mkdir(parents=True)
    (tmp_path / "conf/loss/absolute.yaml").write_text(
        "_target_: my_project.losses.absolute\n_tasks_: [regression]\nscale: 2.0\n"
    )
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project/losses.py").write_text(
        "import tensorflow as tf\n\n"
        "def absolute(targets, outputs, *, scale):\n"
        "    return scale * tf.reduce_mean(tf.abs(targets - outputs), axis=-1)\n"
    )
    arguments = ("--config-dir", "conf", "loss=absolute", "data=linear", "loop.epochs=1")
    refused = run_command(*arguments, folder=tmp_path)
    assert refused.code == 2
    assert "EXPT_ALLOW=my_project" in refused.error
    assert not (tmp_path / "outputs").exists()
    done = run_command(*arguments, folder=tmp_path, environment={"EXPT_ALLOW": "my_project"})
    assert done.code == 0, done.error
    (path,) = tmp_path.glob("outputs/runs/*/*/run.json")
    final = json.loads(path.read_text())["final"]
    assert final["val/loss"] == pytest.approx(2 * final["val/mae"], rel=1e-5)


@pytest.mark.parametrize("model", ["model=mlp", "model=mlp model.dropout=0.3", "model=cnn"])
def test_same_seed_gives_the_same_journal(model: str, train_here: Train, tmp_path: Path) -> None:
    def journal(seed: int, name: str) -> list[dict[str, object]]:
        trained = train_here(["loop.steps=45", f"seed={seed}", *model.split()], tmp_path / name)
        return [
            {key: value for key, value in line.items() if key not in ("time", *_PERF)}
            for line in read_journal(trained.directory / "metrics.jsonl")
        ]

    first = journal(0, "first")
    assert journal(0, "again") == first
    assert journal(1, "other") != first


_PERF = ("perf/steps_per_s", "perf/examples_per_s")


def test_default_reaches_the_promised_accuracy(train_here: Train, tmp_path: Path) -> None:
    trained = train_here([], tmp_path)
    assert trained.final["val/accuracy"] >= 0.96


def test_linear_model_recovers_the_weights_of_linear_data(
    train_here: Train, tmp_path: Path
) -> None:
    import keras

    trained = train_here(["data=linear", "model=linear", "loss=mse", "optimizer=sgd"], tmp_path)
    weights, bias = keras.models.load_model(trained.directory / "model.keras").get_weights()
    # The values of conf/data/linear.yaml.
    assert weights.item() == pytest.approx(1.477, abs=0.002)
    assert bias.item() == pytest.approx(0.089, abs=0.002)


@pytest.mark.parametrize("mode", ["graph", "xla", "eager"])
def test_all_compile_modes_train_to_the_same_loss(
    mode: str, train_here: Train, tmp_path: Path
) -> None:
    trained = train_here([f"loop.compile={mode}", "loop.steps=25"], tmp_path)
    # A recorded value. The tolerance is for the rounding of XLA and of other CPUs.
    assert trained.final["val/loss"] == pytest.approx(1.27391, abs=1e-4)


def test_wheel_contains_the_configs(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, tmp_path, root], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target"]
    subprocess.run([*install, site, wheel], check=True, capture_output=True)
    script = (
        "import expt, expt.config.location as l; print(expt.__file__); print(l.config_directory())"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for command in (
        ["-c", script],
        ["-m", "expt.run", "--cfg", "job"],
        [site / "bin/expt", "run", "--cfg", "job"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        if "-c" in command:
            assert done.stdout.split() == [str(site / "expt/__init__.py"), str(site / "expt/conf")]
        else:
            assert "_target_: keras.layers.ReLU" in done.stdout
