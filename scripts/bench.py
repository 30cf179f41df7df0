"""The standing benchmark: measures expt against other ways to train, in turn on one machine.

    python scripts/bench.py                                     all rows, three rounds
    python scripts/bench.py digits mnist-mlp --rounds 5         some rows
    python scripts/bench.py digits --torch /somewhere/bin/python

Prints tables in Markdown for `docs/performance.md`. Each measurement is a process that is started
in an empty folder; in each round, the contenders of a row run one after the other, and the ratio of
a contender is the median of the ratios of its rounds. The exit code is 1 if the final losses of the
contenders do not agree, since one of them has then not done the same work.

PyTorch and Lightning are left out unless `--torch` names a Python interpreter that has them, with
NumPy, scikit-learn, TensorBoard and MLflow. All other contenders run with this interpreter.
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benchmark.data import in_new_process, write_sources
from scripts.benchmark.measurement import Measurement
from scripts.benchmark.rows import IMAGE_FOLDER, ROWS, Row
from scripts.benchmark.tables import disagreements, machine, table


def main() -> int:
    """Prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with PyTorch, Lightning")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(unknown)}; valid: {', '.join(ROWS)}")
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds}: expected at least 1")
    print(f"{datetime.now(UTC):%d %B %Y}, {machine()}.\n", flush=True)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        in_new_process(write_sources, Path(folder), IMAGE_FOLDER in args.rows)
        for name in args.rows:
            wrong += _print_row(name, ROWS[name], Path(folder), args.rounds, args.torch)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _print_row(name: str, row: Row, folder: Path, rounds: int, torch: str | None) -> list[str]:
    """Measures a row and prints its table; returns the disagreements of its contenders."""
    contenders = row.contenders(folder, torch)
    measured: list[list[Measurement]] = [[] for _ in contenders]
    for number in range(1, rounds + 1):
        for contender, measurements in zip(contenders, measured, strict=True):
            measurements.append(contender.measure(folder))
            said = f"{name}, round {number}, {contender.name}: {measurements[-1]}"
            print(said, file=sys.stderr, flush=True)
    print(f"### {name}\n\n{table(contenders, measured)}\n", flush=True)
    return [f"{name}: {line}" for line in disagreements([c.name for c in contenders], measured)]


if __name__ == "__main__":
    sys.exit(main())
