"""Trains planted faults and healthy runs, and prints the doctor's precision and recall by rule.

    python -m scripts.doctor_benchmark
    python -m scripts.doctor_benchmark --facts FOLDER

A finding is right if its rule is expected or allowed for the run; every finding of a healthy run is
wrong. The thresholds were chosen on a part of the runs, which is counted apart from the others.

With --facts, what the rules know about each run is kept in a folder, and a run whose facts are
there is not trained again: for work on the rules.
"""

import argparse
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from scripts.doctor_benchmark.cases import Case, cases
from scripts.doctor_benchmark.data import write_data

from expt.config.compose import compose_jobs
from expt.errors import RunError
from expt.probes.doctor.facts import Facts
from expt.probes.doctor.rules import RULES
from expt.train.backend import start_for, start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.recorders import Sinks

_ALWAYS = (
    *("recorder=[]", "loop.image_every=null", "loop.save_every=null"),
    *("probe=[gradients,activations]", "probe.activations.histograms=false"),
    "probe.gradients.histograms=false",
)
_CURVATURE = (
    *("probe=[gradients,activations,curvature]", "probe.curvature.every=5ep"),
    "probe.curvature.samples=1",
)


@dataclass
class Count:
    """Numbers of runs of a rule.

    Attributes:
        right: Runs in which it found something, and was expected or allowed to.
        wrong: Other runs in which it found something.
        found: Runs in which it was expected to find something, and did.
        missed: Runs in which it was expected to find something, and did not.
    """

    right: int = 0
    wrong: int = 0
    found: int = 0
    missed: int = 0

    def cells(self) -> str:
        """Returns precision and recall with their counts, as cells of a Markdown table."""
        fired, planted = self.right + self.wrong, self.found + self.missed
        return f"{_share(self.right, fired)} | {_share(self.found, planted)}"


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=Path, help="folder in which facts are kept")
    parser.add_argument("--only", default="", help="part of the names of the runs to train")
    arguments = parser.parse_args()
    os.environ["EXPT_ALLOW"] = "scripts"
    logging.getLogger("tensorflow").addFilter(lambda r: "retracing" not in r.getMessage())
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.facts or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_data(Path(temporary))
        found = {}
        for case in cases():
            if arguments.only in case.name:
                facts = _facts(case, folder / f"{case.name}.pickle", Path(temporary))
                found[case] = {finding.rule for rule in RULES.values() for finding in rule(facts)}
    _report(found)


def _facts(case: Case, file: Path, temporary: Path) -> Facts:
    """Returns what the rules know about a run, which is trained unless its facts are in a file."""
    if not file.exists():
        print(case.name, case.overrides, file=sys.stderr, flush=True)
        file.write_bytes(pickle.dumps(_train(case, temporary)))
    known: Facts = pickle.loads(file.read_bytes())  # noqa: S301  written by this script
    return known


def _train(case: Case, temporary: Path) -> Facts:
    start_tensorflow(0, threads=2, operations=1)
    from expt.train import doctor
    from expt.train.session import Session

    overrides = [*_ALWAYS, *case.overrides.format(data=temporary).split()]
    # Only the rule for gradient descent reads the curvature, which takes long to compile.
    if "optimizer=sgd" in overrides:
        overrides += _CURVATURE
    directory = temporary / case.name
    directory.mkdir()
    (job, *_), _ = compose_jobs([f"output_dir={temporary}", *overrides], None, multirun=False)
    dataset, sinks, kept = DataLoader()(job), Sinks(), []
    start_for(job.config)

    def keep(facts: Facts) -> list[object]:
        kept.append(facts)
        return []

    try:
        with patch.object(doctor, "RULES", {"keep": keep}):
            Session(job, dataset, directory, sinks(job), Console(quiet=True)).run()
    except RunError:
        pass  # a run that diverges has facts, too
    finally:
        sinks.stop()
    return kept[0]


def _report(found: Mapping[Case, set[str]]) -> None:
    counts = [
        _counts({case: rules for case, rules in found.items() if case.is_held_out is held_out})
        for held_out in (True, False)
    ]
    print("| rule | precision | recall | precision, tuned | recall, tuned |")
    print("|---|---|---|---|---|")
    for rule in RULES:
        print(f"| `{rule}` | {' | '.join(count[rule].cells() for count in counts)} |")
    for case, rules in found.items():
        wrong = rules - case.expected - case.allowed
        missed = case.expected - rules
        if wrong or missed:
            print(
                f"{case.name}: {case.overrides}: wrong {sorted(wrong)}, missed {sorted(missed)}",
                file=sys.stderr,
            )
    healthy = sum(case.is_healthy for case in found)
    print(f"\n{len(found) - healthy} faults and {healthy} healthy runs", file=sys.stderr)


def _counts(found: Mapping[Case, set[str]]) -> dict[str, Count]:
    counts = {rule: Count() for rule in RULES}
    for case, rules in found.items():
        for rule, count in counts.items():
            is_right = rule in case.expected or rule in case.allowed
            count.right += rule in rules and is_right
            count.wrong += rule in rules and not is_right
            count.found += rule in rules and rule in case.expected
            count.missed += rule in case.expected and rule not in rules
    return counts


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} ({part}/{whole})" if whole else "–"


if __name__ == "__main__":
    main()
