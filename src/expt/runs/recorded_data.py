"""Compares data with the data that a run has recorded."""

from collections.abc import Mapping, Sequence

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.encoding import Encoder
from expt.runs.record_parts import DataRecord

_MAX_NAMED = 12


def data_change(recorded: DataRecord, dataset: Dataset) -> str | None:
    """Describes the difference between data and that of a run; None if there is none.

    Args:
        recorded: Data record of the run.
        dataset: The data.

    Returns:
        A clause such as `its classes are a, b and were a, c`.
    """
    # Names are compared as well, since the fingerprints of older runs cover only the values.
    others = recorded.other_columns
    pairs = {
        "classes are": (recorded.class_names, dataset.class_names),
        "features are": (feature_names(recorded) or dataset.feature_names, dataset.feature_names),
        "other columns are": (
            _described(dataset.other_columns if others is None else others),
            _described(dataset.other_columns),
        ),
    }
    for what, (before, now) in pairs.items():
        if list(before) != list(now):
            return f"its {what} {names_listed(now)} and were {names_listed(before)}"
    if not dataset.has_fingerprint(recorded.fingerprint):
        return f"its fingerprint is {dataset.fingerprint} and was {recorded.fingerprint}"
    return None


def check_unchanged(recorded: DataRecord, dataset: Dataset, run: str) -> None:
    """Checks that the data is the same as when a run was started.

    Args:
        recorded: Data record of the run.
        dataset: The data.
        run: Directory of the run, for the error message.

    Raises:
        UserError: The data has changed.
    """
    change = data_change(recorded, dataset)
    if change is not None:
        raise UserError(
            f"the data has changed since {run} began: {change}. Restore it.\n"
            f"To start a new run instead: python -m expt.run --rerun {run}"
        )


def feature_names(recorded: DataRecord) -> Sequence[str]:
    """Returns the names of the features that a run was trained on; empty if they are unknown.

    Args:
        recorded: Data record of the run.
    """
    if recorded.feature_names:
        return recorded.feature_names
    # Older records of tables lack the names, but the recorded encoding implies them.
    preparation = recorded.preparation or {}
    if preparation.get("kind") != "table":
        return ()
    return Encoder.from_mapping(preparation).feature_names


def names_listed(names: Sequence[str]) -> str:
    """Returns names separated by commas, at most the first twelve."""
    shown = ", ".join(names[:_MAX_NAMED])
    more = f", … ({len(names)} in all)" if len(names) > _MAX_NAMED else ""
    return f"{shown}{more}" or "none"


def _described(columns: Mapping[str, str]) -> list[str]:
    return [f"{name} ({what})" for what, name in sorted(columns.items())]
