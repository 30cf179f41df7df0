"""Foreign configs, models and records run no code and name no other path; secrets stay secret."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Command, Finished
from expt.config.location import config_directory

# Creates a file in the working directory when it is imported, and another one when it is called.
_EVIL = """
from pathlib import Path

import keras

Path("imported").touch()

def build(*_, **__):
    Path("called").touch()

class Dense(keras.layers.Dense):
    pass
"""
_EVIL_NODE = {"_target_": "evil.build"}
_QUICK = ("loop.epochs=1", "loop.image_every=null")


class _Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("called",)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    """The directory of a finished run, which is also recorded in MLflow."""
    folder = tmp_path_factory.mktemp("finished")
    done = run_command("recorder=[mlflow]", *_QUICK, folder=folder)
    assert done.code == 0, done.error
    (file,) = folder.glob("outputs/runs/*/*/run.json")
    return file.parent


@pytest.fixture
def recorded(finished: Path, tmp_path: Path) -> Path:
    """A copy of that run, as if it came from someone else, beside an importable module `evil`."""
    (tmp_path / "evil.py").write_text(_EVIL)
    return Path(shutil.copytree(finished, tmp_path / "recorded"))


def _write_yaml(file: Path, content: Any, head: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(head + yaml.safe_dump(content), encoding="utf-8")


def _change_json(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def _assert_refused(done: Finished, folder: Path, message: str = "not allowed") -> None:
    assert (done.code, done.error[:7]) == (2, "error: "), done.error
    assert message in done.error
    assert "Traceback" not in done.out + done.error
    assert not (folder / "imported").exists()
    assert not (folder / "called").exists()


class TestTargets:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["model._target_=evil.build"],
            ["data._target_=evil.build"],
            ["+recorder.mine={_target_:evil.build}"],
            ["+model.a=[{b:{c:{_target_:evil.build}}}]"],
            ["-m", "hydra.launcher._target_=evil.build", "seed=0,1"],
            ["-m", "act._target_=keras.layers.ReLU,evil.build"],
            ["--config-dir", "mine", "loss=evil"],
            ["--config-dir", "mine", "loss=nested"],
            ["--config-dir", "mine", "-m", "loss=crossentropy,nested"],
            ["--config-dir", "mine", "experiment=evil"],
            ["--config-dir", "mine", "-m", "experiment=gan,evil"],
        ],
    )
    def test_disallowed_targets_are_refused_wherever_they_are_hidden(
        self, arguments: list[str], run_command: Command, tmp_path: Path
    ) -> None:
        (tmp_path / "evil.py").write_text(_EVIL)
        mine = tmp_path / "mine"
        _write_yaml(mine / "loss/evil.yaml", _EVIL_NODE)
        nested = {"_target_": "expt.parts.losses.crossentropy", "a": {"b": [_EVIL_NODE]}}
        _write_yaml(mine / "loss/nested.yaml", nested)
        _write_yaml(mine / "experiment/evil.yaml", {"act": _EVIL_NODE}, "# @package _global_\n")
        _assert_refused(run_command(*arguments, folder=tmp_path), tmp_path)
        assert not (tmp_path / "outputs").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--config-path", "MINE"], "--config-path"),
            (["-cp", "MINE", "--cfg", "job"], "--config-path"),
            (["--config-dir", "MINE", "-cn", "whole"], "--config-name"),
            (["--experimental-rerun", "MINE/config.pickle"], "--experimental-rerun"),
        ],
    )
    def test_flags_that_would_bypass_the_check_are_refused(
        self, arguments: list[str], message: str, run_command: Command, tmp_path: Path
    ) -> None:
        """With them, Hydra would use another config than the one that was checked, or a pickle."""
        (tmp_path / "evil.py").write_text(_EVIL)
        shutil.copytree(config_directory(), tmp_path / "mine")
        file = tmp_path / "mine/config.yaml"
        config = yaml.safe_load(file.read_text())
        config["hydra"]["callbacks"] = {"mine": _EVIL_NODE}
        _write_yaml(file, config)
        shutil.copy(file, tmp_path / "mine/whole.yaml")
        (tmp_path / "mine/config.pickle").write_bytes(pickle.dumps(_Evil()))
        given = [argument.replace("MINE", str(tmp_path / "mine")) for argument in arguments]
        done = run_command(*given, "loop.steps=1", "recorder=[]", folder=tmp_path)
        _assert_refused(done, tmp_path, message)
        assert not (tmp_path / "outputs").exists()

    @pytest.mark.parametrize(
        ("group", "is_nested"), [("data", True), ("model", False), ("act", True), ("loss", False)]
    )
    def test_disallowed_targets_are_refused_in_a_recorded_config(
        self, group: str, is_nested: bool, run_command: Command, recorded: Path
    ) -> None:
        file, folder = recorded / ".hydra/config.yaml", recorded.parent
        config = yaml.safe_load(file.read_text())
        config[group] |= {"mine": [_EVIL_NODE]} if is_nested else _EVIL_NODE
        _write_yaml(file, config)
        for command, given in (("evaluate", ["recorded"]), ("run", ["--rerun", "recorded"])):
            _assert_refused(run_command(*given, folder=folder, command=command), folder)
        assert not (folder / "outputs").exists()


class TestSavedModels:
    @staticmethod
    def _write(file: Path, layer: dict[str, Any]) -> None:
        """Replaces entries of the first dense layer in the config of a saved model."""
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        (network,) = (e for e in config["config"]["layers"] if "layers" in e["config"])
        layers = network["config"]["layers"]  # the link function is a layer outside of the network
        dense = next(entry for entry in layers if entry["class_name"] == "Dense")
        dense |= layer
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (members | {"config.json": json.dumps(config).encode()}).items():
                archive.writestr(name, content)

    # Keras itself imports modules of the second name, even in its safe mode.
    @pytest.mark.parametrize(
        ("command", "module"),
        [("evaluate", "evil"), ("evaluate", "keras_hub"), ("export", "keras_hub")],
    )
    def test_module_named_in_a_file_is_not_imported(
        self, module: str, command: str, run_command: Command, recorded: Path
    ) -> None:
        folder = recorded.parent
        (folder / f"{module}.py").write_text(_EVIL)
        self._write(recorded / "model.keras", {"module": module})
        given = ["recorded", *(["tflite"] if command == "export" else [])]
        _assert_refused(run_command(*given, folder=folder, command=command), folder)


class TestPaths:
    def test_paths_in_a_record_are_not_followed(self, run_command: Command, recorded: Path) -> None:
        folder, elsewhere = recorded.parent, recorded.parent / "elsewhere"
        elsewhere.mkdir()

        def change(record: Any) -> Any:
            changed = {"output_dir": str(elsewhere), "run_name": "../elsewhere/run"}
            choices = record["choices"] | {"data": "../../elsewhere/data"}
            data = record["data"] | {"name": "../../elsewhere/data"}
            return record | changed | {"choices": choices, "data": data}

        _change_json(recorded / "run.json", change)
        done = run_command("recorded", folder=folder, command="evaluate")
        assert "Traceback" not in done.error  # the run is not in this folder's MLflow store
        assert [path.name for path in (recorded / "evaluations").iterdir()] == ["digits-test.json"]
        assert not list(elsewhere.iterdir())

    def test_name_of_a_data_set_does_not_lead_outside_of_the_folder(
        self, run_command: Command, recorded: Path
    ) -> None:
        folder = recorded.parent
        (folder / "elsewhere").mkdir()
        (folder / "my_data.py").write_text(
            "from dataclasses import replace\n"
            "from expt.parts.data.bundled import Digits\n\n"
            "class Mine(Digits):\n"
            "    def load(self):\n"
            "        return replace(super().load(), name='../../elsewhere/data')\n"
        )
        given = ("recorded", "data._target_=my_data.Mine")
        environment = {"EXPT_ALLOW": "my_data"}
        _change_json(
            recorded / "run.json",
            lambda record: {key: record[key] for key in record if key != "mlflow"},
        )
        done = run_command(*given, folder=folder, environment=environment, command="evaluate")
        assert done.code == 0, done.error
        (result,) = (recorded / "evaluations").iterdir()
        assert result.name == "_.._elsewhere_data-test.json"
        assert not list((folder / "elsewhere").iterdir())

    def test_model_outside_of_the_run_directory_is_not_used(
        self, run_command: Command, recorded: Path
    ) -> None:
        (recorded / "model.keras").rename(recorded.parent / "model.keras")
        (recorded / "model.keras").symlink_to(recorded.parent / "model.keras")
        done = run_command("recorded", folder=recorded.parent, command="evaluate")
        _assert_refused(done, recorded.parent, message="outside of the run's directory")


class TestSecrets:
    # The first one is in the environment, the second one in an address.
    HIDDEN = ("hunter22hunter22", "swordfish99")
    ENVIRONMENT = {"MY_TOKEN": HIDDEN[0]}  # noqa: RUF012
    ADDRESS = f"http://bob:{HIDDEN[1]}@127.0.0.1:9"  # where nothing listens

    def _assert_hidden(self, done: Finished, folder: Path) -> None:
        """Asserts that neither output nor files, including the MLflow store, contain a secret."""
        assert not [secret for secret in self.HIDDEN if secret in done.out + done.error]
        leaks = [
            (secret, str(path.relative_to(folder)))
            for path in folder.rglob("*")
            if path.is_file() and "given" not in path.parts
            for secret in self.HIDDEN
            if secret.encode() in path.read_bytes() or secret in path.name
        ]
        assert leaks == []

    @pytest.fixture
    def given(self, tmp_path: Path) -> tuple[str, ...]:
        """Options with the first secret in the path of the data and in the name."""
        table = "a,target\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(80))
        (tmp_path / "given" / self.HIDDEN[0]).mkdir(parents=True)
        (tmp_path / "given" / self.HIDDEN[0] / "table.csv").write_text(table)
        path = "data.path=given/${oc.env:MY_TOKEN}/table.csv"
        return ("data=csv", path, "data.target=target", "name=${oc.env:MY_TOKEN} runs", *_QUICK)

    def test_secrets_are_in_no_file_of_a_run(
        self, given: tuple[str, ...], run_command: Command, tmp_path: Path
    ) -> None:
        environment = self.ENVIRONMENT | {"TF_MINE": f"a {self.HIDDEN[0]}"}
        done = run_command(*given, folder=tmp_path, environment=environment)
        assert done.code == 0, done.error
        (file,) = tmp_path.glob("outputs/runs/*/*/run.json")
        record = json.loads(file.read_text())
        assert record["name"] == "*** runs"
        assert record["environment"]["TF_MINE"] == "a ***"
        assert b"*** runs" in (tmp_path / "outputs/mlflow.db").read_bytes()
        self._assert_hidden(done, tmp_path)

    def test_secrets_are_in_no_file_after_using_a_run(
        self, given: tuple[str, ...], run_command: Command, tmp_path: Path
    ) -> None:
        for command, arguments in (
            ("run", ("recorder=[]", *given)),
            ("run", ("--rerun", "latest")),
            ("resume", ("latest", "loop.epochs=2")),
            ("evaluate", ("latest",)),
        ):
            environment = self.ENVIRONMENT
            done = run_command(
                *arguments, folder=tmp_path, environment=environment, command=command
            )
            assert done.code == 0, done.error
            self._assert_hidden(done, tmp_path)

    def test_password_of_an_unreachable_server_is_not_shown(
        self, run_command: Command, tmp_path: Path
    ) -> None:
        environment = {"MLFLOW_TRACKING_URI": self.ADDRESS}
        done = run_command(*_QUICK, folder=tmp_path, environment=environment)
        assert done.code == 0, done.error
        assert "mlflow" in done.error
        self._assert_hidden(done, tmp_path)

    @pytest.mark.parametrize("full", ["", "1"])
    def test_error_message_does_not_contain_secrets(
        self, full: str, run_command: Command, tmp_path: Path
    ) -> None:
        environment = self.ENVIRONMENT | {"HYDRA_FULL_ERROR": full}
        arguments = ("data=csv", "data.path=${oc.env:MY_TOKEN}/none.csv", "data.target=target")
        done = run_command(*arguments, folder=tmp_path, environment=environment)
        assert done.code == 2
        assert "***/none.csv" in done.error
        self._assert_hidden(done, tmp_path)

    def test_traceback_does_not_contain_secrets(self, run_command: Command, tmp_path: Path) -> None:
        (tmp_path / "my_losses.py").write_text(
            "import logging, os\n\n"
            "def leaky(targets, outputs, **_):\n"
            "    logging.getLogger('mine').warning('with %s', os.environ['MY_TOKEN'])\n"
            "    raise RuntimeError('bad ' + os.environ['MY_TOKEN'])\n"
        )
        environment = self.ENVIRONMENT | {"EXPT_ALLOW": "my_losses", "HYDRA_FULL_ERROR": "1"}
        arguments = ("loss._target_=my_losses.leaky", "loop.compile=eager", *_QUICK)
        done = run_command(*arguments, folder=tmp_path, environment=environment)
        assert done.code == 2
        assert "Traceback" in done.error
        assert "RuntimeError: bad ***" in done.error
        assert "with ***" in done.error
        self._assert_hidden(done, tmp_path)
