"""Plants faults in a copy of the code, one at a time, and runs the tests that must catch each.

    python scripts/planted_faults.py main

The faults are in `planted_faults.yaml`: for each a name, its layer, and its place: a file, a text
that occurs in it exactly once, what replaces that text, and the tests that fail then. A fault that
was planted before the code was rearranged has two places, `old` and `new`; `new` holds only what
differs. The revision is checked out in a temporary folder, with an environment in which it is the
expt that is installed, and the working tree is left alone.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".yaml")
_FAILED, _NO_TESTS_RUN = 1, 5  # exit codes of pytest


@dataclass(frozen=True)
class Fault:
    """A realistic mistake, planted in one place.

    Attributes:
        name: Its name in the table.
        layer: The layer of the code that it is in.
        file: The file, from the root of the repository.
        text: What is replaced; it occurs exactly once in the file.
        fault: What replaces it.
        tests: Test files or node ids, at least one of which fails.
    """

    name: str
    layer: str
    file: str
    text: str
    fault: str
    tests: Sequence[str]

    @classmethod
    def from_entry(cls, name: str, entry: dict[str, Any], tree: str) -> "Fault":
        """Reads an entry of the table for the `old` or the `new` tree."""
        place = dict(entry["old"])
        if tree == "new":
            place |= entry.get("new") or {}
        return cls(name, entry["layer"], **place)

    @contextmanager
    def planted(self, folder: Path) -> Iterator[None]:
        """Puts the fault into a checkout until the block ends.

        Raises:
            LookupError: The file is missing, or the text does not occur exactly once.
        """
        path = folder / self.file
        if not path.is_file():
            raise LookupError(f"there is no {self.file}")
        whole = path.read_text(encoding="utf-8")
        if (count := whole.count(self.text)) != 1:
            raise LookupError(f"{self.file} has the text {count} times; expected it once")
        path.write_text(whole.replace(self.text, self.fault), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(whole, encoding="utf-8")


def read_faults(tree: str) -> list[Fault]:
    """Returns the faults of the table with their places in the `old` or the `new` tree."""
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return [Fault.from_entry(name, entry, tree) for name, entry in entries.items()]


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Yields a temporary checkout of a revision, with a virtual environment in `.venv`."""
    with tempfile.TemporaryDirectory(prefix="planted-faults-") as temporary:
        folder = Path(temporary) / "checkout"
        worktree = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*worktree, "add", "--quiet", "--detach", str(folder), revision], check=True)
        try:
            _make_environment(folder)
            yield folder
        finally:
            subprocess.run([*worktree, "remove", "--force", str(folder)], check=True)


def _make_environment(folder: Path) -> None:
    """Makes an environment of the checkout and this environment's packages.

    PYTHONPATH would not do: some tests set it for their processes, which would then import the
    working tree, to which an editable installation leads by a .pth file. Those of a folder that is
    itself listed in a .pth file have no effect.
    """
    place = folder / ".venv"
    venv.create(place, symlinks=True)
    names = {"base": str(place), "platbase": str(place)}
    listed = [str(folder / "src"), *{sysconfig.get_path(name) for name in ("purelib", "platlib")}]
    pth = Path(sysconfig.get_path("purelib", "venv", names), "checkout.pth")
    pth.write_text("\n".join(listed) + "\n", encoding="utf-8")


def run_tests(folder: Path, tests: Sequence[str], *more: str) -> tuple[int, list[str]]:
    """Runs tests of a checkout; returns pytest's exit code and the lines that it ends with."""
    python = str(folder / ".venv" / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *more, *tests],
        cwd=folder,
        # Compiled files are told apart by size and second, which two faults may share.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return done.returncode, failures or lines[-8:]


def check_unplanted(folder: Path, faults: Sequence[Fault]) -> bool:
    """Runs all tests of the table without a fault; returns whether all pass."""
    tests = list(dict.fromkeys(test for fault in faults for test in fault.tests))
    code, lines = run_tests(folder, tests)
    print(f"without a fault: {'all tests pass' if code == 0 else 'some tests fail'}")
    if code != 0:
        print(*lines, sep="\n")
    return code == 0


def is_caught(folder: Path, fault: Fault) -> bool:
    """Plants a fault, runs its tests, and prints what came of it; returns whether one failed."""
    began = time.monotonic()
    try:
        with fault.planted(folder):
            code, lines = run_tests(folder, fault.tests, "-x")
    except LookupError as error:
        print(f"NOT planted  {fault.layer:<13} {fault.name}: {error}", flush=True)
        return False
    seconds = time.monotonic() - began
    verdict = "caught" if code == _FAILED else "NOT caught"
    why = lines[0] if code == _FAILED else f"pytest ended with code {code}"
    print(f"{verdict:<12} {fault.layer:<13} {fault.name}  ({seconds:.0f} s)\n    {why}", flush=True)
    if code not in (0, _FAILED, _NO_TESTS_RUN):
        print(*(f"    {line}" for line in lines), sep="\n", flush=True)
    return code == _FAILED


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="what to check out, such as main")
    parser.add_argument("--tree", choices=("old", "new"), default="new")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="faults to plant (default: all)")
    parser.add_argument("--unplanted", action="store_true", help="run the tests without faults")
    args = parser.parse_args()
    faults = [one for one in read_faults(args.tree) if not args.only or one.name in args.only]
    with checked_out(args.revision) as folder:
        if args.unplanted:
            sys.exit(0 if check_unplanted(folder, faults) else 1)
        caught = [is_caught(folder, fault) for fault in faults]
    print(f"{sum(caught)} of {len(caught)} faults caught")
    sys.exit(0 if all(caught) else 1)


if __name__ == "__main__":
    main()
