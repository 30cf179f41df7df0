"""Table files as inputs of a prediction."""

from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError
from expt.parts.data.encoding import Encoded, Encoder
from expt.parts.data.reading import error_context
from expt.runs.find import FoundRun


@dataclass(frozen=True)
class TableInputs:
    """The inputs of a table.

    Attributes:
        encoded: The encoded rows, and notes on them.
        lines: The line of the file on which each row starts, counted from 1.
    """

    encoded: Encoded
    lines: list[int]


def read_table_inputs(run: FoundRun, path: Path) -> TableInputs:
    """Reads the inputs of a CSV file with the encoding of the run's training.

    Args:
        run: The run, whose record has the encoding.
        path: The file; `-` is the standard input.

    Raises:
        UserError: The run was not trained on a table, or the file lacks its columns or has values
            that the encoding does not cover.
    """
    preparation = run.record.data.preparation or {}
    if preparation.get("kind") != "table":
        raise UserError(
            f"{path}: {run.directory.name} has no record of a table's columns: it was not trained "
            "on a CSV file, or it was trained by a previous version of expt; expected .npy or .npz."
        )
    encoder = Encoder.from_mapping(preparation)
    table = encoder.read(path)
    with error_context(f"{path}: "):
        return TableInputs(encoder.transform(table), table.index.to_list())
