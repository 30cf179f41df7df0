import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from expt.train import keras_settings
from expt.train.backend import start_tensorflow

ODD = {
    "floatx": "float64",
    "epsilon": 1e-3,
    "backend": "torch",
    "image_data_format": "channels_first",
}
DAMAGED = {
    "no object": "[1]",
    "no JSON": "{",
    "no type": '{"floatx": "float31"}',
    "no number": '{"epsilon": 1}',
    "no layout": '{"image_data_format": ["channels_last"]}',
    "deep": "[" * 100_000,
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the home folder of a new user, in a process that has not prepared Keras."""
    for name in ("_overridden", "_homes"):
        monkeypatch.setattr(keras_settings, name, [])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    (tmp_path / ".keras").mkdir()
    return tmp_path / ".keras"


def prepare() -> list[str]:
    keras_settings.prepare_keras.__wrapped__()
    return keras_settings._overridden


def test_expected_settings_cause_no_warning(home: Path) -> None:
    assert prepare() == []
    defaults = {**ODD, "floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow"}
    (home / "keras.json").write_text(json.dumps({**defaults, "image_data_format": "channels_last"}))
    assert prepare() == []
    assert "KERAS_BACKEND" not in os.environ
    assert "KERAS_HOME" not in os.environ


def test_other_backend_is_overridden_also_for_child_processes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (home / "keras.json").write_text('{"backend": "jax"}')  # which the variable wins over
    assert prepare() == ["KERAS_BACKEND=torch"]
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_overridden_settings_are_named(home: Path) -> None:
    (home / "keras.json").write_text(json.dumps(ODD))
    (warning,) = prepare()
    assert warning == (
        "backend=torch, floatx=float64, epsilon=0.001, image_data_format=channels_first in "
        f"{home / 'keras.json'}"
    )
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_keras_json_is_ignored(
    home: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "keras.json").write_text(content)
    prepare()
    assert os.environ["KERAS_HOME"] == os.devnull
    keras_settings.apply_settings()
    keras_settings.apply_settings()
    assert "KERAS_HOME" not in os.environ
    assert caplog.messages == [
        "expt uses Keras with TensorFlow, float32 and channels_last, and ignores "
        f"{home / 'keras.json'}, which is damaged."
    ]


def test_settings_changed_by_a_job_are_reset_for_the_next() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.5)
    keras.config.set_image_data_format("channels_first")
    start_tensorflow(0)
    assert keras.config.floatx() == "float32"
    assert keras.config.epsilon() == 1e-7
    assert keras.config.image_data_format() == "channels_last"


@pytest.mark.parametrize("content", [json.dumps(ODD), '{"floatx": 7}'], ids=["odd", "damaged"])
def test_keras_json_does_not_change_a_run(
    tmp_path: Path, run_command: Any, train_here: Callable[..., Any], content: str
) -> None:
    small = ["model=cnn", "model.filters=[4]", "model.units=[]"]
    given = [*small, "loop.steps=2", "recorder=[]", "loop.image_every=null"]
    expected = train_here(given, tmp_path / "here").final
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(content)
    environment = {"HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    done = run_command(*given, folder=tmp_path, environment=environment)
    assert done.code == 0, done.error
    assert done.error.count("and ignores KERAS_BACKEND=torch and ") == 1
    (record,) = (tmp_path / "outputs").rglob("run.json")
    assert json.loads(record.read_text())["final"] == expected
