import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from expt.record.environment import (
    environment,
    forget_peak_memory,
    git_diff,
    git_state,
    machine,
    peak_memory,
    process,
)


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit of `code.py`, three lines and an empty one."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\nb = 2\nc = 3\n\n")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


class TestDiff:
    def test_outside_of_a_checkout_there_is_none(self, tmp_path: Path) -> None:
        assert git_diff(tmp_path) is None
        assert git_state(tmp_path) is None

    def test_before_the_first_commit_there_is_none(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "--quiet")
        assert git_diff(tmp_path) is None

    def test_nothing_changed(self, checkout: Path) -> None:
        assert git_diff(checkout) == ""
        assert (git_state(checkout) or {})["dirty"] is False

    @pytest.mark.parametrize("end", ["\n", " \nd = 'ü'  \n\n"])
    def test_it_brings_back_the_files_that_the_run_had(self, checkout: Path, end: str) -> None:
        (checkout / "code.py").write_text("a = 1\nb = 7\nc = 3\n \n")
        git(checkout, "add", ".")  # staged or not
        (checkout / "code.py").write_text("a = 1\nb = 7\nc = 3\n" + end)
        (checkout / "new.py").write_text("")
        wanted = (checkout / "code.py").read_text()
        diff = git_diff(checkout)
        assert diff is not None
        assert "+b = 7" in diff
        git(checkout, "reset", "--quiet", "--hard")
        (checkout / "a.diff").write_text(diff)
        git(checkout, "apply", "a.diff")
        assert (checkout / "code.py").read_text() == wanted

    def test_it_is_the_whole_checkouts_from_any_folder(self, checkout: Path) -> None:
        (checkout / "code.py").write_text("")
        (checkout / "top.py").write_text("")
        inner = checkout / "package"
        inner.mkdir()
        (inner / "inner.py").write_text("")
        (checkout / "ignored").mkdir()
        (checkout / "ignored" / "run.py").write_text("")
        diff = git_diff(inner)
        assert diff == git_diff(checkout)
        assert diff is not None
        assert diff.splitlines()[:2] == [
            "# not known to git: package/",
            "# not known to git: top.py",
        ]
        assert "-a = 1" in diff
        assert "ignored" not in diff

    def test_bytes_that_are_no_text(self, checkout: Path) -> None:
        (checkout / "code.py").write_bytes(b"a = '\xff'\n")
        assert "-b = 2" in (git_diff(checkout) or "")
        (checkout / "code.py").write_bytes(b"\0\1\2")
        assert "Binary files" in (git_diff(checkout) or "")

    def test_a_long_one_is_cut_after_a_line(self, checkout: Path) -> None:
        line = "ü" * 49
        (checkout / "code.py").write_text(f"{line}\n" * 20_000)
        diff = git_diff(checkout)
        assert diff is not None
        assert 990_000 < len(diff.encode()) < 1_000_200
        *_, last, note = diff.splitlines()
        assert last == f"+{line}"
        assert note.startswith("# cut off here")

    def test_secrets_are_hidden(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_TOKEN", "hunter22")
        (checkout / "code.py").write_text("token = 'hunter22'\nurl = 'http://a:b@c'\n")
        diff = git_diff(checkout)
        assert diff is not None
        assert "+token = '***'\n+url = 'http://***@c'\n" in diff

    def test_the_users_settings_change_nothing(self, checkout: Path) -> None:
        (checkout / "code.py").write_text("a = 1\n")
        plain = git_diff(checkout)
        git(checkout, "config", "color.ui", "always")
        git(checkout, "config", "diff.external", "false")
        assert git_diff(checkout) == plain


def test_the_machine() -> None:
    told = machine()
    assert set(told) == {"host", "platform", "cpu", "cpus", "cores", "memory"}
    assert told["cpu"]
    assert told["cpus"] == os.cpu_count()
    assert told["memory"] == psutil.virtual_memory().total


def test_the_process_is_this_one() -> None:
    told = process()
    assert (told["host"], told["id"]) == (machine()["host"], os.getpid())
    assert 0 < time.time() - told["started"] < 24 * 3600


def test_peak_memory_rises_with_what_is_held_and_stays() -> None:
    before, now = peak_memory(), psutil.Process().memory_info().rss
    assert before is not None
    assert before >= 0.9 * now
    held = bytearray(os.urandom(1)) * (before - now + 100_000_000)
    size = len(held)
    del held
    after = peak_memory()
    assert after is not None
    assert 50_000_000 < after - before < size


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_peak_memory_of_what_was_given_back_can_be_forgotten() -> None:
    held = bytes(100_000_000)
    before = peak_memory()
    del held
    assert peak_memory() == before
    forget_peak_memory()
    after = peak_memory()
    assert before is not None
    assert after is not None
    assert after < before - 50_000_000


def test_peak_memory_is_not_the_parents() -> None:
    held = bytearray(b"1") * 300_000_000
    code = "from expt.record.environment import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(done.stdout) < len(held)


def test_the_environment_is_what_matters_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_FLAGS": "--a",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
        "EXPT_ALLOW": "mine",
    }
    hidden = {"NVIDIA_API_KEY": "short", "MY_TOKEN": "hunter22", "HOME": "/home/me", "TFX": "1"}
    for name, value in {**given, **hidden, "KERAS_URL": "http://a:b@c/hunter22"}.items():
        monkeypatch.setenv(name, value)
    told = environment()
    assert given.items() <= told.items()
    assert not hidden.keys() & told.keys()
    assert told["KERAS_URL"] == "http://***@c/***"
