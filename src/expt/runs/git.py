"""The state of the git repository in which a run is started."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.runs.secrets import redacted

_LONGEST_DIFF = 1_000_000  # bytes
_SECONDS = 30.0  # time limit of a git command; `git status` is slow on a slow disk
_LONGEST_REASON = 300
# English messages, which `_explained` searches; and no lock on the index, which would make a git
# command of the user fail at the same moment.
_ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


@dataclass(frozen=True)
class _GitResult:
    """The output of a git command without trailing newlines, or the reason why it failed."""

    text: str = ""
    error: str | None = None


def git_state(directory: Path) -> dict[str, Any] | None:
    """Returns the commit, and whether files differ from it.

    Returns:
        `commit` and `dirty`; or `error`, the reason why git can't or won't read the repository.
        None outside of a git working tree.
    """
    if not _is_in_repository(directory):
        return None
    inside = _git(directory, "rev-parse", "--is-inside-work-tree")
    if inside.text == "false":  # a bare repository has no working tree
        return None
    commit = _git(directory, "rev-parse", "--verify", "HEAD") if inside.error is None else inside
    if commit.error is not None:
        return {"error": _explained(commit.error)}
    changes = _git(directory, "status", "--porcelain")
    if changes.error is not None:
        return {"error": _explained(changes.error)}
    return {"commit": commit.text, "dirty": bool(changes.text)}


def git_trouble(state: dict[str, Any] | None) -> str | None:
    """Returns a warning if the state of a repository can't be recorded; None otherwise."""
    error = (state or {}).get("error")
    return None if error is None else f"git: the code's state is not recorded: {error}"


def git_diff(directory: Path) -> str | None:
    """Returns the diff between the commit and the working tree; None if there is no commit.

    Untracked files and folders are listed above the diff, in comment lines that `git apply`
    ignores. Secrets are replaced by `***`, and the diff is cut off after 1 MB.
    """
    listing = ("ls-files", "--others", "--exclude-standard", "--directory", "--full-name", ":/")
    unknown = _git(directory, *listing)
    diff = _git(directory, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv")
    if unknown.error is not None or diff.error is not None:
        return None
    text = "".join(f"# not known to git: {name}\n" for name in unknown.text.splitlines())
    if diff.text:
        text += f"{diff.text}\n"
    return _shortened(redacted(text))


def _is_in_repository(directory: Path) -> bool:
    """Whether a folder or one of its parents is a working tree or a bare repository.

    Git is not asked: it also fails for other reasons, such as a repository of another user.
    """
    try:
        return any(
            (folder / ".git").exists()
            or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())
            for folder in (directory.resolve(), *directory.resolve().parents)
        )
    except OSError:
        return False


def _explained(error: str) -> str:
    """Returns the reason from an error message of git, and the command that it suggests."""
    if "Needed a single revision" in error:
        return "the repository has no commits yet. To create one: git commit"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    remedy = next((line for line in lines if line.startswith("git config ")), None)
    reason = redacted(lines[0].removeprefix("fatal: ") if lines else "git failed").rstrip(".")
    reason = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
    return f"{reason}." if remedy is None else f"{reason}. To allow it: {redacted(remedy)}"


def _shortened(text: str) -> str:
    """Cuts a diff that is too long, at the end of a line."""
    encoded = text.encode()
    if len(encoded) <= _LONGEST_DIFF:
        return text
    kept = encoded[:_LONGEST_DIFF].rpartition(b"\n")[0].decode(errors="replace")
    return f"{kept}\n# cut off here: the diff has {len(encoded):,} bytes\n"


def _git(directory: Path, *arguments: str) -> _GitResult:
    """Runs a git command in a directory; errors are returned, not raised."""
    try:
        done = subprocess.run(
            ("git", *arguments),
            cwd=directory,
            env={**os.environ, **_ENVIRONMENT},
            # Git must never wait for the user's input.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        return _GitResult(error="git is not installed, or not on the PATH")
    except subprocess.TimeoutExpired:
        return _GitResult(error=f"git {arguments[0]} took longer than {_SECONDS:g} s")
    except OSError as error:
        return _GitResult(error=f"git can't be run: {error.strerror}")
    if done.returncode:
        return _GitResult(error=done.stderr.strip() or f"git {arguments[0]} failed")
    return _GitResult(done.stdout.rstrip("\n"))
