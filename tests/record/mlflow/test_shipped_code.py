"""The code in a model can be imported without expt, and beside any version of it."""

import ast
import subprocess
import sys
from pathlib import Path

from expt.record.mlflow.shipped_code import shipped_code

LIGHT = {"keras", "mlflow", "numpy", "pandas"}
"""The libraries that the code may import: those in the model's requirements.txt."""


def test_package_is_renamed_and_imports_only_its_requirements() -> None:
    code = shipped_code()
    package = code.entry.split(".")[0]
    assert package != "expt"
    assert {name.split("/")[0] for name in code.files} == {package}
    imported = {
        name.split(".")[0]
        for text in code.files.values()
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {package, *LIGHT}


def test_package_is_importable_without_and_beside_expt(tmp_path: Path) -> None:
    code = shipped_code()
    code.write(tmp_path / "code")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "expt.py").write_text("raise ImportError('expt is not installed')")
    script = f"import {code.entry}, sys; print('tensorflow' in sys.modules, 'expt' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": f"{tmp_path / 'without'}:{tmp_path / 'code'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


def test_writing_a_model_does_not_import_tensorflow() -> None:
    script = (
        "import sys; from expt.record.mlflow.recorder import prepare; prepare();"
        "import expt.record.mlflow.mirror;"
        "from expt.record.mlflow.shipped_code import shipped_code;"
        "shipped_code(); print({'tensorflow', 'keras', 'hydra'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
