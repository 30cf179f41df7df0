"""The modules that the code of a run consists of, and the changes that its hash reflects."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from expt.config import sources
from expt.config.compose import compose_jobs
from expt.config.schema import Config
from expt.config.sources import Code, changed_modules, check_imported, code_of, part_modules
from expt.errors import UserError

DEFAULT = compose_jobs([], None, multirun=False)[0][0].config
FILES = {
    "mine/__init__.py": "",
    "mine/losses.py": "from mine.common import factor\ndef loss(t, o): return factor * (t - o)\n",
    "mine/models.py": "from .layers import Wide\ndef build(): return Wide()\n",
    "mine/layers/__init__.py": "from mine.layers.wide import Wide\n",
    "mine/layers/wide.py": "class Wide: width = 3\n",
    "mine/common.py": "factor = 2.0\n",
    "mine/unused.py": "x = 1\n",
    **{f"mine/{name}.py": "x = 1\n" for name in ("act", "data", "metrics", "optimizers")},
    **{f"mine/{name}.py": "x = 1\n" for name in ("schedules", "steps", "recorders", "nested")},
}
CONFIG = Config.from_mapping(
    {
        **DEFAULT.to_mapping(),
        "loss": {"_target_": "mine.losses.loss"},
        "model": {"_target_": "mine.models.build", "_step_": "mine.steps.Learner"},
        "act": {"_target_": "mine.act.act"},
        "data": {"_target_": "mine.data.Data", "path": "x"},
        "metric": {"mine": {"_target_": "mine.metrics.metric"}},
        "optimizer": {
            "_target_": "mine.optimizers.Mine",
            "inner": [{"_target_": "mine.nested.Mine"}],
        },
        "schedule": {"_target_": "mine.schedules.Mine"},
        "recorder": {"mine": {"_target_": "mine.recorders.MineRecorder"}},
    }
)
Write = Callable[..., None]


def forget() -> None:
    """Clears all caches, as in a new process."""
    sources._sources.clear()
    sources._hash_modules_cached.cache_clear()
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "beside")]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Returns a function that writes the files of a project and clears all caches."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EXPT_ALLOW", "mine")

    def write_files(**files: str | bytes | None) -> None:
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink()
            else:
                file.write_bytes(text if isinstance(text, bytes) else text.encode())
        forget()

    write_files(**FILES)
    yield write_files
    forget()


def own(code: Code) -> set[str]:
    return {name for name in code.modules if not name.startswith("expt.")}


@pytest.mark.usefixtures("write")
def test_modules_of_user_and_their_imports_count() -> None:
    code = code_of(CONFIG)
    assert own(code) == {
        *("mine.losses", "mine.common", "mine.models", "mine.layers", "mine.layers.wide"),
        *("mine.act", "mine.data", "mine.metrics", "mine.optimizers", "mine.nested"),
        *("mine.schedules", "mine.steps"),
    }
    assert code == Code.from_mapping(code.to_mapping())


def test_nothing_is_imported(write: Write) -> None:
    write(**{"mine/__init__.py": "raise AssertionError", "mine/losses.py": "1 / 0"})
    code_of(CONFIG)
    assert not [name for name in sys.modules if name.startswith("mine")]


COUNTED = [name for name in FILES if Path(name).stem not in ("unused", "recorders")]


@pytest.mark.parametrize("file", COUNTED)
def test_changed_statement_changes_code(write: Write, file: str) -> None:
    before = code_of(CONFIG)
    write(**{file: f"{FILES[file]}\ny = 1\n"})
    after = code_of(CONFIG)
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    assert after.hash != before.hash
    assert changed_modules(before.modules, after.modules) == [module]


@pytest.mark.parametrize("file", FILES)
def test_comments_docstrings_and_layout_do_not_change_code(write: Write, file: str) -> None:
    before = code_of(CONFIG)
    write(**{file: f'"""About it."""\n# And more.\n\n\n{FILES[file].replace(" = ", "  =  ")}'})
    assert code_of(CONFIG) == before


@pytest.mark.parametrize("file", ["mine/unused.py", "mine/recorders.py", "mine/values.csv"])
def test_modules_without_effect_do_not_change_code(write: Write, file: str) -> None:
    before = code_of(CONFIG)
    write(**{file: "x = 2\n"})
    assert code_of(CONFIG) == before


def test_optional_modules_count_if_present(write: Write) -> None:
    """A module may import another one only if it exists."""
    write(**{"mine/losses.py": "try:\n    from mine import fast\nexcept ImportError:\n    pass\n"})
    without = code_of(CONFIG)
    write(**{"mine/fast.py": "x = 1\n"})
    with_it = code_of(CONFIG)
    assert changed_modules(without.modules, with_it.modules) == ["mine.fast"]
    write(**{"mine/fast.py": None})
    assert code_of(CONFIG) == without


@pytest.mark.parametrize(
    "statement",
    [
        "import mine.deep.er as other",
        "from mine.deep import er",
        "from mine.deep.er import x",
        "from .deep import er",
        "from .deep.er import *",
        "def f():\n    from mine.deep import er",
        "if 1 > 2:\n    import mine.deep.er",
        "import importlib\nimportlib.import_module('mine.deep.er')",
        "import beside\nbeside.x",
        "from beside import x",
    ],
)
def test_imports_of_all_forms_are_followed(write: Write, statement: str) -> None:
    """Imports may lead through folders without `__init__.py`, and out of the package."""
    write(**{"mine/losses.py": statement, "mine/deep/er.py": "x = 1", "beside.py": "x = 1"})
    before = code_of(CONFIG)
    write(**{"mine/deep/er.py": "x = 2", "beside.py": "x = 2"})
    (changed,) = changed_modules(before.modules, code_of(CONFIG).modules)
    assert changed in ("mine.deep.er", "beside")


def test_circular_imports_are_read_once(write: Write) -> None:
    write(**{"mine/losses.py": "import mine.common", "mine/common.py": "import mine.losses"})
    assert {"mine.losses", "mine.common"} <= own(code_of(CONFIG))


def test_compiled_module_is_hashed_by_its_bytes(write: Write) -> None:
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    fast = f"mine/fast{suffix}"
    write(**{"mine/losses.py": "from mine import fast", fast: b"\x7fELF one"})
    before = code_of(CONFIG)
    write(**{fast: b"\x7fELF two"})
    assert changed_modules(before.modules, code_of(CONFIG).modules) == ["mine.fast"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\ndef f(:\n", r"losses\.py, line 2: .*The run imports this module, mine\.losses"),
        (b"x = 1\n  y = 2\n", r"losses\.py, line 2: unexpected indent"),
        (b"x = '\xff'\n", r"losses\.py"),
        (b"# coding: klingon\n", r"losses\.py.*klingon"),
        (b"x = '\0'\n", r"losses\.py.*null"),
    ],
)
def test_error_names_line_of_invalid_source(write: Write, content: bytes, message: str) -> None:
    write(**{"mine/losses.py": content})
    with pytest.raises(UserError, match=message):
        code_of(CONFIG)


def test_installed_packages_are_not_hashed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    imports = "import numpy, keras.layers, tensorflow as tf, json, sys, rich.text, nothing.there\n"
    write(**{"mine/losses.py": imports})
    assert own(code_of(replace(DEFAULT, loss=CONFIG.loss))) == {"mine.losses"}
    monkeypatch.setenv("EXPT_ALLOW", "mine,rich.text")
    forget()
    assert "rich.text" in own(code_of(replace(DEFAULT, loss=CONFIG.loss)))


@pytest.mark.usefixtures("write")
def test_module_is_read_once_per_process(tmp_path: Path) -> None:
    """A worker executes the module that it imported, even if the file changes afterwards."""
    before = code_of(CONFIG)
    (tmp_path / "mine/losses.py").write_text("def loss(t, o): return t\n")
    assert code_of(CONFIG) == before
    assert part_modules(CONFIG, ["loss"])["mine.losses"] == before.modules["mine.losses"]
    forget()
    assert code_of(CONFIG) != before


@pytest.mark.usefixtures("write")
class TestCheckImported:
    """The imported modules must be the ones that were read."""

    def test_change_after_import_is_accepted(self, tmp_path: Path) -> None:
        code = code_of(CONFIG)
        importlib.import_module("mine.losses")
        check_imported(code)
        (tmp_path / "mine/losses.py").write_text("def loss(t, o): return t\n")
        check_imported(code)

    @pytest.mark.parametrize("file", ["mine/losses.py", "mine/common.py"])
    def test_change_before_import_is_rejected(self, tmp_path: Path, file: str) -> None:
        code = code_of(CONFIG)
        (tmp_path / file).write_text("factor, loss = 3.0, None\n")
        importlib.import_module("mine.losses")
        module = file.removesuffix(".py").replace("/", ".")
        with pytest.raises(UserError, match=f"{module} was changed while"):
            check_imported(code)

    def test_changed_comment_is_accepted(self, tmp_path: Path) -> None:
        code = code_of(CONFIG)
        (tmp_path / "mine/losses.py").write_text(f"# Mine.\n{FILES['mine/losses.py']}")
        check_imported(code)

    def test_modules_of_other_runs_are_not_checked(self, tmp_path: Path) -> None:
        code_of(CONFIG)
        (tmp_path / "mine/losses.py").write_text("def loss(t, o): return t\n")
        check_imported(code_of(DEFAULT))


class TestExpt:
    """The modules of expt itself."""

    def test_used_parts_count(self) -> None:
        modules = code_of(DEFAULT).modules
        assert {"expt.parts.losses", "expt.parts.models.dense", "expt.parts.data.bundled"} <= set(
            modules
        )
        assert not {"expt.parts.models.convolutional", "expt.parts.data.tables"} & set(modules)
        ((gan,), _) = compose_jobs(["experiment=gan"], None, multirun=False)
        assert "expt.train.learners.adversarial" in code_of(gan.config).modules
        assert "expt.train.learners.adversarial" not in modules

    def test_modules_that_compute_count(self) -> None:
        assert set(code_of(DEFAULT).modules) >= {
            *("expt.train.session", "expt.train.program", "expt.train.data_loading"),
            *("expt.train.step", "expt.train.trainer", "expt.config.checks"),
            *("expt.train.executors.single", "expt.train.executors.block"),
            "expt.config.declarations",
            *("expt.train.input.order", "expt.train.input.pipeline", "expt.train.evaluation"),
            *("expt.train.state", "expt.train.monitor"),
            *("expt.train.input.batch", "expt.train.input.augment", "expt.train.objective"),
            *("expt.train.learners.supervised", "expt.train.backend", "expt.train.timeline"),
            "expt.parts.models.standardization",
        }

    def test_modules_that_record_do_not_count(self) -> None:
        packages = {".".join(name.split(".")[:2]) for name in code_of(DEFAULT).modules}
        assert packages <= {
            *("expt.config", "expt.parts", "expt.train"),
        }

    def test_version_does_not_count(self) -> None:
        """It is recorded with the versions of the packages."""
        assert "expt" not in code_of(DEFAULT).modules

    def test_hash_is_equal_in_other_process(self) -> None:
        """The order of sets differs between processes."""
        script = (
            "from expt.config.compose import compose_jobs; from expt.config.sources import *; "
            "import sys; print(code_of(compose_jobs([], None, multirun=False)[0][0].config).hash, "
            "'tensorflow' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [code_of(DEFAULT).hash, "False"]


class TestChangedCode:
    """The hash of a run whose code changed at some step."""

    ONE, TWO = Code.of_modules({"a": "1"}), Code.of_modules({"a": "2"})

    def test_hash_differs_from_other_runs(self) -> None:
        hashes = {
            *(self.ONE.hash, self.TWO.hash, self.TWO.after(self.ONE, 5).hash),
            *(self.TWO.after(self.ONE, 6).hash, self.TWO.after(None, 5).hash),
            *(
                self.ONE.after(self.TWO, 5).hash,
                self.ONE.after(self.TWO.after(self.ONE, 5), 9).hash,
            ),
        }
        assert len(hashes) == 7
        assert self.TWO.after(self.ONE, 5).modules == self.TWO.modules

    def test_equal_code_has_equal_hash(self) -> None:
        mixed = self.TWO.after(self.ONE, 5)
        assert self.ONE.after(self.ONE, 5) == self.ONE
        assert self.TWO.after(mixed, 9) == mixed

    def test_change_at_step_0_counts_new_code_only(self) -> None:
        assert self.TWO.after(self.ONE, 0) == self.TWO
        assert self.TWO.after(None, 0) == self.TWO


def test_changed_modules_of_user_come_first() -> None:
    before = {"expt.train.session": "1", "mine.b": "1", "mine.a": "1", "same": "1"}
    now = {"expt.train.session": "2", "mine.b": "2", "z.new": "1", "same": "1"}
    assert changed_modules(before, now) == ["mine.a", "mine.b", "z.new", "expt.train.session"]
