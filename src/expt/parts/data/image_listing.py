"""Finding the files of folders that are named after classes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.image_files import Names

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
TRAIN, VALIDATION, TEST = range(3)
_PARTS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION, "test": TEST}


@dataclass(frozen=True)
class Listing:
    """The files, in the order of their names.

    Attributes:
        folder: Where they are.
        names: Their paths from there.
        labels: The number of each file's class.
        parts: Which split's folder each is in; TRAIN if there are none.
        class_names: In the order of their numbers.
    """

    folder: Path
    names: Names
    labels: NDArray[np.int32]
    parts: NDArray[np.int8]
    class_names: tuple[str, ...]

    def take(self, indices: NDArray[np.intp]) -> "Listing":
        """Returns the listing of some of the files."""
        if len(indices) == len(self.names):
            return self
        return replace(
            self,
            names=self.names[indices],
            labels=self.labels[indices],
            parts=self.parts[indices],
        )


def list_folder(path: str) -> Listing:
    """Lists the files of a folder of class folders, or of folders train, val and test of such.

    Raises:
        UserError: The folder is not there, or is laid out otherwise.
    """
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a folder.")
    folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  never raises
    folders, files = _entries(folder)
    if "train" in folders and _entries(folder / "train")[0]:
        return _list_parts(folder, folders)
    stray = next((name for name in files if name.lower().endswith(EXTENSIONS)), None)
    if not folders or stray is not None:
        what = f"{stray} is in no class's folder" if stray else "it holds no folders"
        raise UserError(
            f"data.path={path}: {what}. Expected a folder of images for each class, or folders "
            "train, val and test that hold such folders."
        )
    names, labels = _list_classes(folder, "", folders, folders)
    return Listing(folder, names, labels, np.zeros(len(names), np.int8), folders)


def _list_parts(folder: Path, parts: Sequence[str]) -> Listing:
    unknown = [name for name in parts if name not in _PARTS]
    if unknown or {"val", "validation"} <= set(parts):
        raise UserError(
            f"{folder} holds the folders {', '.join(parts)}; expected train and at most one each "
            "of val (or validation) and test beside it."
        )
    class_names = _entries(folder / "train")[0]
    listed, numbers = [], []
    for part in sorted(parts, key=_PARTS.__getitem__):
        listed.append(_list_classes(folder, f"{part}/", _entries(folder / part)[0], class_names))
        numbers.append(np.full(len(listed[-1][0]), _PARTS[part], np.int8))
    return Listing(
        folder,
        np.concatenate([names for names, _ in listed]),
        np.concatenate([labels for _, labels in listed]),
        np.concatenate(numbers),
        class_names,
    )


def _list_classes(
    folder: Path, prefix: str, found: Sequence[str], class_names: Sequence[str]
) -> tuple[Names, NDArray[np.int32]]:
    """Lists the files of each class's folder.

    Names become an array class by class: as Python's strings, all of them would take several
    times as much memory.
    """
    if len(class_names) < 2 or not found:
        raise UserError(
            f"{folder / prefix} holds {len(found)} folder(s); expected one for each class, and at "
            "least two classes."
        )
    names, labels = [], []
    for name in found:
        place = folder / prefix / name
        if name not in class_names:
            raise UserError(
                f"{place}: train has no class {name!r}. It has {', '.join(class_names)}."
            )
        inner, files = _entries(place)
        if inner or not files:
            what = f"a folder, {inner[0]}" if inner else "no files"
            raise UserError(f"{place} holds {what}; expected the images of the class.")
        names.append(np.array([os.fsencode(f"{prefix}{name}/{file}") for file in files]))
        labels.append(np.full(len(files), class_names.index(name), np.int32))
    return np.concatenate(names), np.concatenate(labels)


def _entries(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names of the folders and of the other things in a folder, hidden ones not.

    They are sorted, since a file system gives them in any order.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    (folders if entry.is_dir() else files).append(entry.name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.path: the folder {folder} can't be read: {error}. A relative path starts at "
            "the working directory."
        ) from error
    return tuple(sorted(folders)), tuple(sorted(files))
