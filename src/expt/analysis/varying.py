"""The parameters that distinguish variants, which become the columns of the table."""

from collections.abc import Sequence

from expt.analysis.compared_run import ComparedRun
from expt.analysis.replicates import DEFAULT_REPLICATES, FINGERPRINT
from expt.analysis.values import as_text
from expt.config.hashes import has_effect

# Moving a file does not change a result, so a path is not hashed; but two paths of one comparison
# usually are two data sets.
_SHOWN_THOUGH_WITHOUT_EFFECT = ("data.path",)


def varying_parameters(
    groups: Sequence[Sequence[ComparedRun]], replicates: Sequence[str] = DEFAULT_REPLICATES
) -> list[str]:
    """Returns the keys of the parameters that differ between variants.

    Two kinds of parameters are left out: those that also differ within a variant, and those that
    follow from a group's option that varies too, such as the default learning rate of an
    optimizer. The latter are kept if they were given on the command line.

    Args:
        groups: The runs of each variant.
        replicates: The keys by which the runs of a variant differ.
    """
    columns: dict[str, list[str | None]] = {}
    first = [group[0].params for group in groups]
    for key in dict.fromkeys(key for params in first for key in params):
        if key in (*replicates, FINGERPRINT) or not (
            has_effect(key) or key in _SHOWN_THOUGH_WITHOUT_EFFECT
        ):
            continue
        values = [params.get(key) for params in first]
        # Most keys are constant: comparing their values first avoids formatting them all.
        if all(value == values[0] for value in values) and all(key in params for params in first):
            continue
        texts = [as_text(params[key]) if key in params else None for params in first]
        if len(set(texts)) > 1 and _is_constant_within(key, groups):
            columns[key] = texts
    overridden = frozenset[str]().union(*(run.overridden for group in groups for run in group))
    chosen = [
        key
        for key, texts in columns.items()
        if key in overridden or not _follows(texts, columns.get(_group(key)))
    ]
    # Variants whose rows are equal can still differ in their data: same name, other content.
    rows = {tuple(columns[key][index] for key in chosen) for index in range(len(groups))}
    if len(rows) < len(groups) and len({params.get(FINGERPRINT) for params in first}) > 1:
        chosen.append(FINGERPRINT)
    return chosen


def _group(key: str) -> str:
    return key.partition(".")[0] if "." in key else ""


def _is_constant_within(key: str, groups: Sequence[Sequence[ComparedRun]]) -> bool:
    return all(
        run.params.get(key) == group[0].params.get(key) for group in groups for run in group[1:]
    )


def _follows(texts: Sequence[str | None], options: Sequence[str | None] | None) -> bool:
    """Whether each option of the group comes with one value only."""
    if options is None:
        return False
    seen: dict[str | None, str | None] = {}
    return all(
        seen.setdefault(option, text) == text for option, text in zip(options, texts, strict=True)
    )
