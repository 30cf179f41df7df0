"""The layers of docs/architecture.md, checked against the imports in the source."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import expt

PACKAGE = Path(expt.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
LAYERS = (
    ("errors",),
    ("parts",),
    ("serving",),
    ("config",),
    ("runs",),
    ("record",),
    ("probes",),
    ("train",),
    ("analysis",),
    ("derivatives", "exports", "prediction", "servers", "verification"),
    ("sweep",),
    ("cli",),
)
"""The packages from the bottom layer to the top; the commands are above all of them."""
PACKAGES = [name for layer in LAYERS for name in layer]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """Returns the modules that a module imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            name = node.module or ""
            inner = {f"{name}.{alias.name}" for alias in node.names} & FILES.keys()
            found |= inner or {name}
    return frozenset(found)


def package_of(module: str) -> str:
    """Returns the package of a module; a module at the top level is its own package."""
    return ".".join(module.split(".")[:2])


def modules_in(*packages: str) -> list[str]:
    return [
        module for module in FILES if package_of(module) in {f"expt.{name}" for name in packages}
    ]


def own(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "expt"}


def test_source_is_found() -> None:
    assert {"expt.run", "expt.train.step", "expt.parts.data.dataset"} <= FILES.keys()
    assert own(imports("expt.train.trainer")) >= {"expt.record.recorder", "expt.train.hooks"}


def test_parts_import_only_parts() -> None:
    for module in modules_in("parts"):
        allowed = {
            "expt.parts.data": {
                "expt.parts.data.array_checks",
                "expt.parts.data.augmentation",
                "expt.parts.data.bundled_files",
                "expt.parts.data.columns",
                "expt.parts.data.csv_files",
                "expt.parts.data.dataset",
                "expt.parts.data.drawing",
                "expt.parts.data.duplicates",
                "expt.parts.data.encoding",
                "expt.parts.data.example_hashes",
                "expt.parts.data.idx",
                "expt.parts.data.image_checks",
                "expt.parts.data.image_decoding",
                "expt.parts.data.image_files",
                "expt.parts.data.image_listing",
                "expt.parts.data.image_preparation",
                "expt.parts.data.joined",
                "expt.parts.data.labels",
                "expt.parts.data.mapped",
                "expt.parts.data.masks",
                "expt.parts.data.missing",
                "expt.parts.data.names",
                "expt.parts.data.number_formats",
                "expt.parts.data.number_recognition",
                "expt.parts.data.preparation",
                "expt.parts.data.reading",
                "expt.parts.data.resolution",
                "expt.parts.data.scale",
                "expt.parts.data.splitting",
            },
            "expt.parts.models": {
                "expt.parts.data.scale",
                "expt.parts.models.arguments",
                "expt.parts.models.layers",
                "expt.parts.models.links",
                "expt.parts.models.standardization",
            },
        }.get(module.rpartition(".")[0], set())
        assert own(imports(module)) <= {"expt.errors", "expt.parts.numbers", *allowed}, module


def height(module: str) -> int:
    """Returns the layer of a module, counted from the bottom; commands are above all layers."""
    name = module.split(".")[1] if "." in module else "errors"  # expt itself has its version
    return next((i for i, layer in enumerate(LAYERS) if name in layer), len(LAYERS))


def upward(module: str, imported: frozenset[str]) -> set[str]:
    """Returns the imports of a module that point neither downwards nor into its own package."""
    inner = {name for name in own(imported) if package_of(name) != package_of(module)}
    return {name for name in inner if height(name) >= height(module)}


def test_imports_point_downwards() -> None:
    found = {module: names for module in FILES if (names := upward(module, imports(module)))}
    assert found == {}


def test_every_package_has_layer() -> None:
    top = {module.split(".")[1] for module in FILES if "." in module}
    assert top - set(PACKAGES) == {
        *("__main__", "run", "resume", "list", "compare", "diff", "evaluate", "predict"),
        *("export", "verify", "gradients", "sync", "ui", "completion"),
    }


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("expt.runs.find", "expt.record.journal"),
        ("expt.train.step", "expt.sweep.plan"),
        ("expt.sweep.plan", "expt.run"),
        ("expt.exports.onnx", "expt.prediction.arrays"),
    ],
)
def test_upward_import_is_detected(module: str, planted: str) -> None:
    assert upward(module, imports(module) | {planted}) == {planted}


def test_only_commands_import_sweep() -> None:
    knowing = {
        module
        for module in FILES
        if package_of(module) != "expt.sweep"
        and any(package_of(name) == "expt.sweep" for name in own(imports(module)))
    }
    assert knowing == {"expt.run", "expt.resume", "expt.sync"}


@pytest.mark.parametrize("whole", [True, False])
def test_imports_have_no_cycles(whole: bool) -> None:
    """There are none between modules, and none between packages."""
    name_of = str if whole else package_of
    graph: dict[str, set[str]] = {}
    for module in FILES:
        known = {name_of(name) for name in own(imports(module))} - {name_of(module)}
        graph.setdefault(name_of(module), set()).update(known)
    TopologicalSorter(graph).prepare()


def test_only_config_imports_hydra() -> None:
    knowing = {
        module
        for module in FILES
        if {name.partition(".")[0] for name in imports(module)} & {"hydra", "omegaconf"}
    }
    assert "expt.config.compose" in knowing
    assert {module for module in knowing if package_of(module) != "expt.config"} == set()


def test_only_steps_checks_probes_and_derivatives_use_gradient_tape() -> None:
    taking = {
        module
        for module in FILES
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.Attribute) and node.attr == "GradientTape")
        or (isinstance(node, ast.alias) and node.name == "GradientTape")
    }
    # Those of probes and derivatives show gradients, and train nothing.
    showing = ("expt.probes", "expt.derivatives")
    assert {module for module in taking if package_of(module) not in showing} == {
        f"expt.train.{name}"
        for name in (
            *("step", "adversarial_step", "terms", "preflight", "loss_checks"),
            "learners.adversarial",
        )
    }


@pytest.mark.parametrize(
    "module",
    [
        *("expt.run", "expt.evaluate", "expt.predict", "expt.export", "expt.gradients", "expt.ui"),
        *("expt.compare", "expt.diff", "expt.list", "expt.cli", "expt.completion"),
        *("expt.config.checks", "expt.parts.data.files", "expt.runs.find"),
    ],
)
def test_module_imports_no_slow_library(module: str) -> None:
    """Errors must be reported within a second."""
    slow = {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib"}
    code = f"import sys, {module}; print(sorted({slow} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
