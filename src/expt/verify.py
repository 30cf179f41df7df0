"""`python -m expt.verify [overrides]`: checks that a config repeats and resumes bit for bit."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from expt.cli import program, run_command
from expt.config.compose import compose_jobs, is_multirun
from expt.config.flags import parse
from expt.errors import UserError
from expt.train.data_loading import DataLoader
from expt.train.messages import print_replaced_options
from expt.verification.plan import make_plan
from expt.verification.processes import Outcome, train_all
from expt.verification.report import describe_plan, make_report


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("verify"),
        description="Trains a config briefly three times: twice from start to end, and once "
        "interrupted and resumed. Reports whether the results are equal bit for bit, or else the "
        "first difference and its cause. Exit code: 0 if equal, else 1.",
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for expt.run")
    parser.add_argument("--config-dir", help="your own conf/ folder")
    parser.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    args = parse(parser, arguments)
    jobs, hydra_node = compose_jobs(args.overrides, args.config_dir, args.multirun)
    if is_multirun(hydra_node):
        raise UserError("a sweep can't be verified: expected one value for each key, and no -m.")
    (job,) = jobs
    print_replaced_options(Console(), jobs, args.config_dir)
    dataset = DataLoader()(job)

    with TemporaryDirectory(prefix="expt-verify-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        plan = make_plan(job, dataset, folder)
        plan.write(folder)
        for line in describe_plan(plan):
            print(line, flush=True)
        lines, is_same = make_report(folder, dataset, plan, train_all(folder, _print_outcome))
    for line in lines:
        print(line)
    return 0 if is_same else 1


def _print_outcome(name: str, outcome: Outcome) -> None:
    ended = "done" if outcome.code == 0 else "failed"
    print(f"  {name:<12} {ended} after {outcome.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
