"""The arguments of `expt.compare`."""

import argparse
import math

from expt.analysis.replicates import DEFAULT_REPLICATES
from expt.config.paths import expanded


def make_parser(program: str) -> argparse.ArgumentParser:
    """Returns the parser of `expt.compare`.

    Args:
        program: How the command was called.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Compares runs: what varied, and what came out, seeds grouped.",
    )
    parser.add_argument(
        "selection",
        nargs="*",
        metavar="DIR | KEY=VALUE",
        help="directories or names of runs and sweeps, best, or folders that hold some (default: "
        "latest, the newest sweep; without one, all of output_dir); filters such as act=relu,tanh "
        "or status=FINISHED; name=EXPERIMENT, of all output_dir; output_dir=… (default outputs)",
    )
    parser.add_argument(
        "--metric",
        help="which metric decides: val/accuracy is its last value, best/val/accuracy that of the "
        "kept model (default: best/ and the watched metric)",
    )
    parser.add_argument("--sort", metavar="COLUMN", help="a metric, a parameter, or a cost")
    parser.add_argument(
        "--replicates",
        type=_keys,
        default=DEFAULT_REPLICATES,
        metavar="KEYS",
        help="the keys by which repeats of a variant differ, and by which variants are paired, "
        "such as seed,data.split_seed (default: seed)",
    )
    parser.add_argument(
        "--margin",
        type=_margin,
        help="the difference in the metric that does not matter in practice, such as 0.005: a "
        "variant whose interval lies within it is equivalent to the best",
    )
    parser.add_argument("--csv", type=expanded, metavar="FILE", help="a row a variant")
    parser.add_argument("--markdown", type=expanded, metavar="FILE", help="the table")
    parser.add_argument("--json", type=expanded, metavar="FILE", help="variants and their runs")
    parser.add_argument("--plots", type=expanded, metavar="DIR", help="curves and effects, as PNG")
    parser.add_argument("--html", type=expanded, metavar="FILE", help="a page with all of it")
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
