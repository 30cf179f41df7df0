"""The argument parser of `expt.compare`."""

import argparse
import math

from expt.analysis.replicates import DEFAULT_REPLICATES
from expt.config.paths import expand_path


def make_parser(program: str) -> argparse.ArgumentParser:
    """Returns the argument parser of `expt.compare`.

    Args:
        program: The command as it was called, shown in the usage line.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Compares runs: shows the parameters that vary and the resulting metrics, "
        "averaged over seeds.",
    )
    parser.add_argument(
        "selection",
        nargs="*",
        metavar="DIR | KEY=VALUE",
        help="directories or names of runs and sweeps, folders that contain some, best, or latest "
        "(default: latest, the newest sweep; without any sweep, all runs in output_dir); filters "
        "such as act=relu,tanh or status=FINISHED; name=EXPERIMENT for all runs of an experiment; "
        "output_dir=DIR (default: outputs)",
    )
    parser.add_argument(
        "--metric",
        help="the metric that decides: val/accuracy is the last value, best/val/accuracy that of "
        "the best checkpoint (default: the monitored metric of the best checkpoint)",
    )
    parser.add_argument(
        "--sort",
        metavar="COLUMN",
        help="sort by a metric, a parameter, or a cost (default: the metric that decides)",
    )
    parser.add_argument(
        "--replicates",
        type=_keys,
        default=DEFAULT_REPLICATES,
        metavar="KEYS",
        help="the keys by which the replicates of a variant differ and by which variants are "
        "paired, such as seed,data.split_seed (default: seed)",
    )
    parser.add_argument(
        "--margin",
        type=_margin,
        help="the largest difference in the metric that does not matter in practice, such as "
        "0.005: a variant whose interval lies within ±MARGIN is equivalent to the best",
    )
    parser.add_argument("--csv", type=expand_path, metavar="FILE", help="write one row per variant")
    parser.add_argument("--markdown", type=expand_path, metavar="FILE", help="write the table")
    parser.add_argument(
        "--json", type=expand_path, metavar="FILE", help="write all variants with their runs"
    )
    parser.add_argument(
        "--plots", type=expand_path, metavar="DIR", help="write curves and effects as PNG files"
    )
    parser.add_argument(
        "--html", type=expand_path, metavar="FILE", help="write a report: table, charts and images"
    )
    return parser


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(","))
    if not all(keys):
        raise argparse.ArgumentTypeError(
            f"expected keys such as seed,data.split_seed, got {text!r}"
        )
    return keys


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = -1.0
    if not 0 < margin < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number such as 0.005, got {text!r}")
    return margin
