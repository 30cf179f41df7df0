"""Tests of the recorded state of a git repository, and of errors in reading it."""

import subprocess
from pathlib import Path

import pytest

from expt.runs.git import git_diff, git_state, git_trouble


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit of `code.py`, which has three lines and an empty one."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\nb = 2\nc = 3\n\n")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


class TestDiff:
    def test_no_diff_outside_of_repository(self, tmp_path: Path) -> None:
        assert git_diff(tmp_path) is None
        assert git_state(tmp_path) is None

    def test_no_diff_before_first_commit(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "--quiet")
        assert git_diff(tmp_path) is None
        text = "the repository has no commits yet. To create one: git commit"
        assert git_state(tmp_path) == {"error": text}

    def test_diff_is_empty_without_changes(self, checkout: Path) -> None:
        assert git_diff(checkout) == ""
        assert (git_state(checkout) or {})["dirty"] is False

    @pytest.mark.parametrize("end", ["\n", " \nd = 'ü'  \n\n"])
    def test_applied_diff_restores_files(self, checkout: Path, end: str) -> None:
        (checkout / "code.py").write_text("a = 1\nb = 7\nc = 3\n \n")
        git(checkout, "add", ".")  # one change is staged, the other is not
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

    def test_diff_covers_whole_repository_from_any_folder(self, checkout: Path) -> None:
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

    def test_binary_files(self, checkout: Path) -> None:
        (checkout / "code.py").write_bytes(b"a = '\xff'\n")
        assert "-b = 2" in (git_diff(checkout) or "")
        (checkout / "code.py").write_bytes(b"\0\1\2")
        assert "Binary files" in (git_diff(checkout) or "")

    def test_long_diff_is_cut_at_end_of_line(self, checkout: Path) -> None:
        line = "ü" * 49
        (checkout / "code.py").write_text(f"{line}\n" * 20_000)
        diff = git_diff(checkout)
        assert diff is not None
        assert 990_000 < len(diff.encode()) < 1_000_200
        *_, last, note = diff.splitlines()
        assert last == f"+{line}"
        assert note.startswith("# cut off here")

    def test_secrets_are_redacted(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_TOKEN", "hunter22")
        (checkout / "code.py").write_text("token = 'hunter22'\nurl = 'http://a:b@c'\n")
        diff = git_diff(checkout)
        assert diff is not None
        assert "+token = '***'\n+url = 'http://***@c'\n" in diff

    def test_git_settings_of_user_have_no_effect(self, checkout: Path) -> None:
        (checkout / "code.py").write_text("a = 1\n")
        plain = git_diff(checkout)
        git(checkout, "config", "color.ui", "always")
        git(checkout, "config", "diff.external", "false")
        assert git_diff(checkout) == plain


class TestTrouble:
    def test_repository_of_other_user_is_reported_with_fix(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        state = git_state(checkout)
        warning = git_trouble(state)
        assert warning is not None
        assert "dubious ownership" in warning
        assert f"To allow it: git config --global --add safe.directory {checkout}" in warning
        assert git_diff(checkout) is None

    def test_git_is_not_installed(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "outside").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "outside"))
        assert "git is not installed" in (git_trouble(git_state(checkout)) or "")

    def test_bare_repository_has_no_state_and_no_warning(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "--quiet", "--bare", "bare.git")
        assert git_state(tmp_path / "bare.git") is None

    def test_submodule_has_its_own_commit(self, checkout: Path, tmp_path: Path) -> None:
        inner = tmp_path / "checkout of another" / "inner"
        inner.parent.mkdir()
        git(inner.parent, "init", "--quiet")
        allowed = ("-c", "protocol.file.allow=always")
        git(inner.parent, *allowed, "submodule", "--quiet", "add", str(checkout), "inner")
        assert git_state(inner) == {"commit": _head(checkout), "dirty": False}
        git(inner.parent, "commit", "--quiet", "--message=first")
        (inner / "code.py").write_text("")
        assert (git_state(inner.parent) or {})["dirty"] is True

    def test_working_tree_without_repository_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / ".git").write_text("gitdir: /nowhere/.git/modules/x\n")
        assert "not a git repository: /nowhere" in (git_trouble(git_state(tmp_path)) or "")

    def test_damaged_index_is_reported(self, checkout: Path) -> None:
        (checkout / ".git/index").write_bytes(b"no index")
        assert "index" in (git_trouble(git_state(checkout)) or "")
        assert git_diff(checkout) is None

    def test_timeout_of_git_is_reported(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wait(*arguments: object, timeout: float, **_: object) -> None:
            raise subprocess.TimeoutExpired(str(arguments), timeout)

        monkeypatch.setattr(subprocess, "run", wait)
        warning = git_trouble(git_state(checkout))
        assert (
            warning == "git: the code's state is not recorded: git rev-parse took longer than 30 s."
        )
        assert git_diff(checkout) is None

    def test_no_warning_without_error(self, checkout: Path) -> None:
        assert git_trouble(git_state(checkout)) is None
        assert git_trouble(None) is None


def _head(checkout: Path) -> str:
    command = ("git", "rev-parse", "HEAD")
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
