"""Replicates: the runs of a variant, which differ by keys such as the seed alone."""

from collections.abc import Sequence

from expt.analysis.reading import ComparedRun
from expt.analysis.values import as_text
from expt.config.hashes import has_effect
from expt.errors import UserError, nearest

SEED = "seed"
DEFAULT_REPLICATES = (SEED,)
FINGERPRINT = "data.fingerprint"
"""The parameter that distinguishes data of one name."""


def check_replicates(runs: Sequence[ComparedRun], keys: Sequence[str]) -> None:
    """Checks that the runs have the keys.

    Raises:
        UserError: No run has one of them.
    """
    known = {SEED, *(key for run in runs for key in run.params)}
    for key in keys:
        if key not in known:
            near = nearest(key, known)
            question = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"--replicates {','.join(keys)}: no run has a parameter {key!r}.{question} "
                "Expected keys by which the repeats of a variant differ, such as "
                "--replicates seed,data.split_seed."
            )


def replicate_of(run: ComparedRun, keys: Sequence[str]) -> tuple[str, ...]:
    """Returns which repeat of its variant a run is: the text of each key's value."""
    values = (run.seed if key == SEED else run.params.get(key) for key in keys)
    return tuple(map(as_text, values))


def variant_of(run: ComparedRun, keys: Sequence[str]) -> str:
    """Returns a text that is equal for the runs that differ by these keys alone.

    The recorded hash leaves out nothing but the seed. For other keys, all parameters that can
    change the result are compared, but the data's content where a replicate has its own data.
    """
    if tuple(keys) == DEFAULT_REPLICATES or not run.variant:
        return run.variant
    left_out = {*keys, *([FINGERPRINT] if any(key.startswith("data.") for key in keys) else ())}
    params = {**run.params, SEED: run.seed}
    return ",".join(
        f"{key}={as_text(value)}"
        for key, value in sorted(params.items())
        if key not in left_out and has_effect(key)
    )
