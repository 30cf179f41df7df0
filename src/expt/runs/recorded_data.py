"""Whether data is that of a recorded run."""

from collections.abc import Mapping, Sequence

from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.encoding import Encoder
from expt.runs.record_parts import DataRecord

_MOST_NAMED = 12


def data_change(recorded: DataRecord, dataset: Dataset) -> str | None:
    """Returns how data differs from that of a run, as a clause; None if it does not.

    Args:
        recorded: What the run recorded of its data. Fingerprints of older runs are of contents
            alone, so that names are compared here, too.
        dataset: The data.
    """
    others = recorded.other_columns
    pairs = {
        "classes are": (recorded.class_names, dataset.class_names),
        "features are": (feature_names(recorded) or dataset.feature_names, dataset.feature_names),
        "columns that are no features are": (
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
    """Checks that a run can be continued with data.

    Args:
        recorded: What the run recorded of its data.
        dataset: The data.
        run: The run's directory, for the message.

    Raises:
        UserError: It is not the data that the run began with.
    """
    change = data_change(recorded, dataset)
    if change is not None:
        raise UserError(
            f"the data has changed since {run} began: {change}. Restore it, or begin a new run: "
            f"python -m expt.run --rerun {run}"
        )


def feature_names(recorded: DataRecord) -> Sequence[str]:
    """Returns the names of the features that a run was trained on; none if they are not known.

    Args:
        recorded: What the run recorded of its data.
    """
    if recorded.feature_names:
        return recorded.feature_names
    preparation = recorded.preparation or {}
    if preparation.get("kind") != "table":
        return ()
    return Encoder.from_mapping(preparation).feature_names


def names_listed(names: Sequence[str]) -> str:
    """Returns names with commas between, the first of them if there are many."""
    shown = ", ".join(names[:_MOST_NAMED])
    more = f", … ({len(names)} in all)" if len(names) > _MOST_NAMED else ""
    return f"{shown}{more}" or "none"


def _described(columns: Mapping[str, str]) -> list[str]:
    return [f"{name} ({what})" for what, name in sorted(columns.items())]
