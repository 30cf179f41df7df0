import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest

from expt.config.saved_layers import check_saved_layers
from expt.errors import UserError


def with_object(folder: Path, entry: Any) -> Path:
    """Writes a .keras file whose config contains an object among those of a valid layer."""
    inner = {"name": "a", "layers": [{"module": "keras.layers", "class_name": "Dense"}, [entry]]}
    config = {"module": "keras", "class_name": "Sequential", "config": inner}
    return with_config(folder, json.dumps(config).encode())


def with_config(folder: Path, content: bytes) -> Path:
    file = folder / "model.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", content)
    return file


def entry(module: str | None, name: str, **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {}, "registered_name": None, **more}


def function(module: str, name: str, **more: Any) -> dict[str, Any]:
    return entry(module, "function", config=name, registered_name=name) | more


def test_operations_and_functions_of_keras_pass(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(
        2, activation=keras.ops.sin, kernel_regularizer=keras.regularizers.L2(0.1), dtype="float16"
    )(keras.ops.concatenate([inputs * 2, inputs[:, :2]], axis=1))
    file = tmp_path / "model.keras"
    keras.Model(inputs, outputs).save(file)
    check_saved_layers(file)


@pytest.mark.parametrize(
    "allowed",
    [
        entry("keras.layers", "Dense"),
        entry("keras.src.models.functional", "Functional", registered_name="Functional"),
        entry("keras", "DTypePolicy"),
        entry("keras.src.ops.numpy", "Add", registered_name="Add"),
        entry(None, "HeNormal"),
        {"class_name": "__tensor__", "config": {"value": 1, "dtype": "float32"}},
        function("builtins", "gelu"),
        function("keras.activations", "relu"),
        entry("expt.parts.models.dense", "Anything", registered_name="expt>Anything"),
    ],
)
def test_allowed_object_passes(allowed: dict[str, Any], tmp_path: Path) -> None:
    check_saved_layers(with_object(tmp_path, allowed))


@pytest.mark.parametrize(
    "hostile",
    [
        *(entry("os", "system"), function("os", "system"), function("builtins", "exec")),
        *(entry("evil", "Dense"), entry("evil.layers", "Dense", registered_name="keras>Dense")),
        *(entry("keras.layers", "Lambda"), entry("keras.layers", "TFSMLayer")),
        *(entry(None, "Lambda"), entry("keras.src.layers.core.lambda_layer", "Lambda")),
        entry("keras.layers", "Dense", registered_name="keras>Lambda"),
        entry("keras.layers", "Dense", registered_name="my>Own"),
        {"class_name": "__lambda__", "config": {"value": "code"}},
        entry("tensorflow", "__typespec__", spec_name="TensorSpec"),
        *(function("keras.utils", "get_file"), function("keras.saving", "load_model")),
        *(entry("keras.layers", "deserialize"), entry("keras.models", "load_model")),
        *(entry("keras.utils", "Progbar"), entry("keras.callbacks", "RemoteMonitor")),
        *(entry("keras_hub.models", "X"), entry("kerasx", "X"), entry("keras.", "X")),
        *(entry("keras.layers.os", "system"), entry("expt.partsx", "X"), entry("expt.run", "X")),
        *(entry("expt.parts.nowhere", "X"), entry("__main__", "X"), entry("", "X")),
        entry("expt.parts.models.dense.os", "system"),
        entry(7, "X"),  # type: ignore[arg-type]
    ],
)
def test_disallowed_object_is_rejected(hostile: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.keras can't be loaded: it (names|has a)"):
        check_saved_layers(with_object(tmp_path, hostile))


def test_package_of_user_can_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "trusted_layers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wide.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    own = entry("trusted_layers.wide", "Wide", registered_name="Custom>Wide")
    with pytest.raises(UserError, match=r"names trusted_layers\.wide\.Wide, .* EXPT_ALLOW"):
        check_saved_layers(with_object(tmp_path, own))
    assert "trusted_layers" not in sys.modules
    monkeypatch.setenv("EXPT_ALLOW", "trusted_layers")
    check_saved_layers(with_object(tmp_path, own))
    assert "trusted_layers.wide" not in sys.modules


def test_disallowed_object_is_found_at_any_depth(tmp_path: Path) -> None:
    deep: Any = entry("os", "system")
    for _ in range(150):
        deep = {"config": [deep]}
    with pytest.raises(UserError, match=r"os\.system"):
        check_saved_layers(with_object(tmp_path, deep))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_damaged_config_is_rejected(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="damaged"):
        check_saved_layers(with_config(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_file_that_is_not_archive_is_rejected(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        check_saved_layers(file)


def test_archive_without_config_is_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(UserError, match="damaged"):
        check_saved_layers(tmp_path / "model.keras")


def test_huge_config_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expt.config.saved_layers._MAX_BYTES", 1_000)
    with pytest.raises(UserError, match="too large"):
        check_saved_layers(with_config(tmp_path, b" " * 1_001))
