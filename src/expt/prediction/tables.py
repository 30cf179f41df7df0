"""Tables as inputs of a prediction."""

from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError
from expt.parts.data.encoding import Encoded, Encoder
from expt.parts.data.reading import told_of
from expt.runs.find import FoundRun


@dataclass(frozen=True)
class TableInputs:
    """The inputs of a table, and the line of the file on which each row starts."""

    encoded: Encoded
    lines: list[int]


def read_table_inputs(run: FoundRun, path: Path) -> TableInputs:
    """Reads the inputs of a CSV file as those of the training were read.

    Args:
        run: The run, whose record says how.
        path: The file; `-` is the standard input.

    Raises:
        UserError: The run was not trained on a table, or the file is no such table.
    """
    preparation = run.record.data.preparation or {}
    if preparation.get("kind") != "table":
        raise UserError(
            f"{path}: {run.directory.name} has no record of a table's columns, so it was not "
            "trained on a CSV file, or by an earlier version; expected .npy or .npz."
        )
    encoder = Encoder.from_mapping(preparation)
    table = encoder.read(path)
    with told_of(f"{path}: "):
        return TableInputs(encoder.transform(table), table.index.to_list())
