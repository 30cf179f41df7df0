"""The table of a model's layers in a run's directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Markdown, which TensorBoard's text tab renders as a table.
LAYERS_FILE = "layers.md"


def write_layers(directory: Path, layers: Sequence[Mapping[str, Any]]) -> None:
    """Writes the table as Markdown, for recorders to show.

    Args:
        directory: The run's directory.
        layers: The rows: each has name, type, output_shape and parameters.
    """
    rows = [
        (row["name"], row["type"], _shape(row["output_shape"]), f"{row['parameters']:,}")
        for row in layers
    ]
    total = sum(row["parameters"] for row in layers)
    header = [("layer", "type", "output shape", "parameters"), ("---", "---", "---", "---:")]
    lines = [
        f"| {' | '.join(cells)} |" for cells in [*header, *rows, ("all", "", "", f"{total:,}")]
    ]
    (directory / LAYERS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_layers(directory: Path) -> str:
    """Returns the table that `write_layers` wrote, as Markdown."""
    return (directory / LAYERS_FILE).read_text(encoding="utf-8")


def _shape(shape: Sequence[int | None] | None) -> str:
    """Returns a shape without the batch axis, such as `8x8x1`."""
    return "" if shape is None else "x".join(str(size) for size in shape[1:])
