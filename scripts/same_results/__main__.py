"""Compares what two checkouts print and record for the same commands.

    python -m scripts.same_results OLD NEW [--keep FOLDER] [--only TEXT]

Journals, run.json, sweep.json, configs, checkpoints, models, images, tables, TensorBoard, MLflow,
exit codes and printed lines must be equal, but for times, ids, paths and hashes of code, and for
what `stated.py` says. A line a command; exit code 1 if one differs.

The old side takes about ten minutes. With --keep, the records of both sides stay in a folder: those
of the old one are used again, those of the new one if it is the same commit and has no changes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.same_results.commands import COMMANDS, Command
from scripts.same_results.comparing import differences
from scripts.same_results.recording import record, record_file

_MOST_SHOWN = 8  # differences of a command


def main() -> int:
    """Records both sides and compares them; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.same_results",
        description=__doc__.splitlines()[0] if __doc__ else None,
    )
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument("new", type=Path, help="another one")
    parser.add_argument("--keep", type=Path, help="a folder for the records")
    parser.add_argument("--only", default="", help="commands in folders whose names hold this text")
    parser.add_argument("--jobs", type=int, default=1, help="commands at a time (1)")
    parser.add_argument("--all", action="store_true", help="show all differences")
    args = parser.parse_args()
    commands = [command for command in COMMANDS if args.only in command.folder]
    with tempfile.TemporaryDirectory() as folder:
        keep = args.keep or Path(folder)
        sides = (keep / f"old-{_state(args.old)}", keep / f"new-{_state(args.new)}")
        for checkout, side in zip((args.old, args.new), sides, strict=True):
            print(f"recording {side.name}", flush=True)
            record(commands, checkout.resolve(), side, args.jobs)
        different = _compare(commands, *sides, None if args.all else _MOST_SHOWN)
    print(f"{len(commands)} commands: {len(commands) - different} equal, {different} different")
    return 1 if different else 0


def _compare(commands: Sequence[Command], old: Path, new: Path, most: int | None) -> int:
    """Prints a line a command, and its differences; returns how many differ."""
    different, moments = 0, set[str]()
    for command in commands:
        if command.interrupt is not None:
            moments.add(command.folder)
        records = [json.loads(record_file(side, command).read_text()) for side in (old, new)]
        found = differences(
            *records,
            interrupted=command.interrupt is not None,
            resumed=command.folder in moments,
        )
        different += bool(found)
        print(f"{'different' if found else 'equal':9}  exit {records[1]['code']:3}  {command.name}")
        for line in found[:most]:
            print(f"           {line}")
        if len(found) > len(found[:most]):
            print(f"           and {len(found) - len(found[:most])} more")
    return different


def _state(checkout: Path) -> str:
    """Returns the commit of a checkout; uncommitted changes are a state of their own."""
    git = ("git", "-C", str(checkout))
    commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    changed = subprocess.check_output([*git, "status", "--porcelain", "src", "conf"], text=True)
    return f"{commit}-changed" if changed else commit


if __name__ == "__main__":
    sys.exit(main())
