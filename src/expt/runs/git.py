"""The state of the git checkout that a run is started in."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.runs.secrets import redacted

_LONGEST_DIFF = 1_000_000  # bytes
_SECONDS = 30.0  # that git may take, on a slow disk
_LONGEST_REASON = 300
_ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}  # no translations, no lock on the index


@dataclass(frozen=True)
class _Answer:
    """What git printed, but for line ends at its end; or why it failed."""

    text: str = ""
    error: str | None = None


def git_state(directory: Path) -> dict[str, Any] | None:
    """Returns the commit and whether files differ from it; None outside of a git checkout.

    Where there is a repository that git can't or won't read, the reason is under `error`.
    """
    if not _is_in_repository(directory):
        return None
    inside = _git(directory, "rev-parse", "--is-inside-work-tree")
    if inside.text == "false":  # a bare repository has no files that could differ
        return None
    commit = _git(directory, "rev-parse", "--verify", "HEAD") if inside.error is None else inside
    if commit.error is not None:
        return {"error": _explained(commit.error)}
    changes = _git(directory, "status", "--porcelain")
    if changes.error is not None:
        return {"error": _explained(changes.error)}
    return {"commit": commit.text, "dirty": bool(changes.text)}


def git_trouble(state: dict[str, Any] | None) -> str | None:
    """Returns a warning for the user if a repository's state is not recorded."""
    error = (state or {}).get("error")
    return None if error is None else f"git: the code's state is not recorded: {error}"


def git_diff(directory: Path) -> str | None:
    """Returns how files differ from the commit; None where `git_state` knows no commit.

    Files that git does not know are named above the diff (a folder of them by its own name),
    which `git apply` passes over. Secrets are hidden, and what is beyond 1 MB is left out.
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
    """Whether a folder or one above it is a checkout, or is a repository without one."""
    try:
        return any(
            (folder / ".git").exists()
            or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())
            for folder in (directory.resolve(), *directory.resolve().parents)
        )
    except OSError:
        return False


def _explained(error: str) -> str:
    """Returns why git failed, and what its own message says about how to change that."""
    if "Needed a single revision" in error:
        return "the repository has no commit yet. To have one recorded: git commit"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    remedy = next((line for line in lines if line.startswith("git config ")), None)
    reason = redacted(lines[0].removeprefix("fatal: ") if lines else "git failed").rstrip(".")
    reason = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
    return f"{reason}." if remedy is None else f"{reason}. To allow it: {redacted(remedy)}"


def _shortened(text: str) -> str:
    """Cuts a diff that is too long after a whole line."""
    encoded = text.encode()
    if len(encoded) <= _LONGEST_DIFF:
        return text
    kept = encoded[:_LONGEST_DIFF].rpartition(b"\n")[0].decode(errors="replace")
    return f"{kept}\n# cut off here: the diff has {len(encoded):,} bytes\n"


def _git(directory: Path, *arguments: str) -> _Answer:
    try:
        done = subprocess.run(
            ("git", *arguments),
            cwd=directory,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        return _Answer(error="git is not installed, or not on the PATH")
    except subprocess.TimeoutExpired:
        return _Answer(error=f"git {arguments[0]} took longer than {_SECONDS:g} s")
    except OSError as error:
        return _Answer(error=f"git can't be run: {error.strerror}")
    if done.returncode:
        return _Answer(error=done.stderr.strip() or f"git {arguments[0]} failed")
    return _Answer(done.stdout.rstrip("\n"))
