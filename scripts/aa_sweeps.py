"""Simulates sweeps of equal variants, and counts the tables in which one is declared worse.

    python scripts/aa_sweeps.py                  2,000 tables of each shape: some five minutes
    python scripts/aa_sweeps.py --tables 200     quicker, and less precise

"Uncorrected" is a t-test of each variant against the best one, at 5 % each; "corrected" is the test
of `expt.compare`. The second table has one variant that is really worse, and counts the tables in
which it is declared so. Prints Markdown; exits with 1 if the corrected test declares something in
more than 5 % of the tables of a shape, beyond three standard errors of the simulation.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expt.analysis.multiple import Difference, differences_to
from expt.analysis.statistics import SIGNIFICANCE

Matrix = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Matrix]

_SIZES = ((2, 2), (2, 3), (3, 3), (5, 3), (10, 2), (10, 3), (10, 5), (10, 10), (20, 3), (20, 5))
_WORSE = ((3, 3, 4.0), (5, 3, 4.0), (10, 3, 4.0), (10, 3, 6.0), (10, 5, 3.0), (20, 10, 2.0))
_EFFECT_OF_SEED = 2.0  # in standard deviations of the noise
_EXAMPLES = 270  # of a validation split, whose accuracies are multiples of 1 / 270


def _normal(random: np.random.Generator, variants: int, replicates: int) -> Matrix:
    return random.normal(size=(variants, replicates))


def _one_noisy(random: np.random.Generator, variants: int, replicates: int) -> Matrix:
    noise = _normal(random, variants, replicates)
    noise[0] *= 5
    return noise


def _half_noisy(random: np.random.Generator, variants: int, replicates: int) -> Matrix:
    noise = _normal(random, variants, replicates)
    noise[::2] *= 3
    return noise


def _heavy_tails(random: np.random.Generator, variants: int, replicates: int) -> Matrix:
    return random.standard_t(3, size=(variants, replicates))


def _skewed(random: np.random.Generator, variants: int, replicates: int) -> Matrix:
    return random.lognormal(size=(variants, replicates))


NOISES: dict[str, Draw] = {
    "normal": _normal,
    "one variant 5 times as noisy": _one_noisy,
    "every other one 3 times": _half_noisy,
    "heavy tails (t, 3)": _heavy_tails,
    "skewed (log-normal)": _skewed,
    "rounded accuracies": _normal,
}


@dataclass(frozen=True)
class Shape:
    """The tables of one line.

    Attributes:
        variants: The number of variants.
        replicates: The number of seeds of each.
        is_paired: Whether the variants have the same seeds.
        noise: A name in `NOISES`.
        worse_by: By how many standard deviations the last variant is worse.
    """

    variants: int
    replicates: int
    is_paired: bool
    noise: str = "normal"
    worse_by: float = 0.0


def draw(random: np.random.Generator, shape: Shape) -> Matrix:
    """Returns the values of a table, a row a variant."""
    values = NOISES[shape.noise](random, shape.variants, shape.replicates)
    values[-1] -= shape.worse_by
    if shape.is_paired:
        values = values + _EFFECT_OF_SEED * random.normal(size=shape.replicates)
    if shape.noise.startswith("rounded"):
        return np.round(0.9 * _EXAMPLES + 1.5 * values) / _EXAMPLES
    return values


def tested(values: Matrix, is_paired: bool) -> list[Difference | None]:
    """Returns the differences to the best variant; seeds are all different without pairs."""
    seeds = np.arange(values.size).reshape(values.shape)
    names = np.broadcast_to(seeds[0], values.shape) if is_paired else seeds
    groups = [
        dict(zip(row.tolist(), value.tolist(), strict=True))
        for row, value in zip(names, values, strict=True)
    ]
    return differences_to(groups, int(np.argmax(values.mean(axis=1))))


def declared(shape: Shape, num_tables: int, seed: int) -> tuple[float, float]:
    """Returns in which share of tables something is declared worse: uncorrected, corrected.

    Where a variant is worse, that one has to be declared.
    """
    random = np.random.default_rng(seed)
    counts = np.zeros(2)
    for _ in range(num_tables):
        found = tested(draw(random, shape), shape.is_paired)
        judged = [one for one in (found[-1:] if shape.worse_by else found) if one is not None]
        counts += (
            any(one.p < SIGNIFICANCE for one in judged),
            any(one.is_significant for one in judged),
        )
    uncorrected, corrected = counts / num_tables
    return float(uncorrected), float(corrected)


def main(arguments: Sequence[str]) -> int:
    """Prints both tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=2000, help="of each shape")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    most = _print_false(args.tables, args.seed)
    _print_power(args.tables, args.seed)
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / args.tables)
    print(f"\nThe largest share of the corrected test is {most:.1%}.")
    return 0 if most <= allowed else 1


def _print_false(num_tables: int, seed: int) -> float:
    """Prints a line for each kind of noise; returns the largest share."""
    print(
        f"Tables with a variant declared worse though all are equal, of {num_tables:,} a shape:\n"
    )
    print("| noise | seeds | uncorrected | corrected, mean | corrected, most | at |")
    print("|---|---|---:|---:|---:|---|")
    largest = 0.0
    for noise in NOISES:
        for is_paired in (True, False):
            found = {
                (variants, replicates): declared(
                    Shape(variants, replicates, is_paired, noise), num_tables, seed
                )
                for variants, replicates in _SIZES
            }
            worst = max(found, key=lambda size: found[size][1])
            means = np.mean(list(found.values()), axis=0)
            kind = "paired" if is_paired else "unpaired"
            print(
                f"| {noise} | {kind} | {means[0]:.1%} | {means[1]:.1%} | {found[worst][1]:.1%} "
                f"| {worst[0]} variants, n = {worst[1]} |",
                flush=True,
            )
            if noise == "normal":
                print(
                    f"| normal, 10 variants, n = 3 | {kind} | {found[10, 3][0]:.1%} "
                    f"| {found[10, 3][1]:.1%} | | |"
                )
            # A t-test of two has its level for normal noise alone: that is no matter of sweeps.
            if not noise.startswith("skewed"):
                largest = max(largest, found[worst][1])
    return largest


def _print_power(num_tables: int, seed: int) -> None:
    print("\nTables in which the one variant that is worse is declared so:\n")
    print("| variants | n | worse by | seeds | uncorrected | corrected |")
    print("|---:|---:|---:|---|---:|---:|")
    for variants, replicates, by in _WORSE:
        for is_paired in (True, False):
            shape = Shape(variants, replicates, is_paired, worse_by=by)
            uncorrected, corrected = declared(shape, num_tables, seed)
            print(
                f"| {variants} | {replicates} | {by:g} std "
                f"| {'paired' if is_paired else 'unpaired'} "
                f"| {uncorrected:.0%} | {corrected:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
