"""Replicates: runs of one variant, which differ only by the seed or by other given keys."""

from collections.abc import Sequence

from expt.analysis.compared_run import ComparedRun
from expt.analysis.values import as_text
from expt.config.hashes import has_effect
from expt.errors import UserError, nearest

SEED = "seed"
DEFAULT_REPLICATES = (SEED,)
FINGERPRINT = "data.fingerprint"
"""The parameter that distinguishes data sets of one name by their content."""


def check_replicates(runs: Sequence[ComparedRun], keys: Sequence[str]) -> None:
    """Checks that each key is a parameter of some run.

    Raises:
        UserError: No run has a parameter of this name.
    """
    known = {SEED, *(key for run in runs for key in run.params)}
    for key in keys:
        if key not in known:
            near = nearest(key, known)
            question = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"--replicates {','.join(keys)}: no run has a parameter {key!r}.{question} "
                "Expected the keys by which the replicates of a variant differ, such as "
                "--replicates seed,data.split_seed."
            )


def replicate_of(run: ComparedRun, keys: Sequence[str]) -> tuple[str, ...]:
    """Returns the replicate that a run is, as the text of each key's value."""
    values = (run.seed if key == SEED else run.params.get(key) for key in keys)
    return tuple(map(as_text, values))


def variant_of(run: ComparedRun, keys: Sequence[str]) -> str:
    """Returns a text that is equal for runs that differ by these keys alone.

    For the seed, this is the variant hash in run.json. For other keys, it consists of all other
    parameters that can change the result.
    """
    if tuple(keys) == DEFAULT_REPLICATES or not run.variant:
        return run.variant
    # Another split seed or another file changes the content of the data, and with it the
    # fingerprint: it would separate the replicates again.
    left_out = {*keys, *([FINGERPRINT] if any(key.startswith("data.") for key in keys) else ())}
    params = {**run.params, SEED: run.seed}
    return ",".join(
        f"{key}={as_text(value)}"
        for key, value in sorted(params.items())
        if key not in left_out and has_effect(key)
    )
