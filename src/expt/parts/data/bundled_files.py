"""The files that scikit-learn bundles, read without importing it, which would slow each start."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError


def read_numbers(
    name: str, *, delimiter: str | None = ",", has_header: bool = False
) -> NDArray[np.float64]:
    """Reads the numbers of a file of scikit-learn's package.

    Args:
        name: The file's name, which ends in `.gz` if it is compressed.
        delimiter: What separates the columns; None for white space.
        has_header: Whether to skip the first line.

    Returns:
        The numbers, shape [rows, columns], or [rows] for a single column.

    Raises:
        UserError: scikit-learn is not installed, or its version has no such file.
    """
    rows = _lines(name)[1 if has_header else 0 :]
    return np.loadtxt(rows, delimiter=delimiter, dtype=np.float64)


def class_names(name: str) -> tuple[str, ...]:
    """Returns the names of the classes in the first line of a table, after its two sizes."""
    return tuple(_lines(name)[0].split(",")[2:])


def cell_features() -> tuple[str, ...]:
    """Returns the names of the measurements in `breast_cancer.csv`, as scikit-learn spells them."""
    measured = (
        *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
        *("concave points", "symmetry", "fractal dimension"),
    )
    errors = tuple(f"{one} error" for one in measured)
    means, worst = ([f"{kind} {one}" for one in measured] for kind in ("mean", "worst"))
    return (*means, *errors, *worst)


def _lines(name: str) -> list[str]:
    # The place and the format of these files are not in scikit-learn's public interface. The tests
    # compare what is read here with the results of its own loaders.
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise UserError("scikit-learn, which this data is part of, is not installed.")
    file = Path(spec.origin).parent / "datasets" / "data" / name
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing. Install scikit-learn again.") from error
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode().splitlines()
