"""Listing of image files in folders that are named after classes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.csv_files import normalize_text
from expt.parts.data.image_decoding import EXTENSIONS
from expt.parts.data.image_files import Names
from expt.parts.data.names import join_names
from expt.parts.data.reading import error_context

TRAIN, VALIDATION, TEST = range(3)
_LAYOUT = (
    "Expected a folder of images for each class, or folders train, val and test that hold such "
    "folders."
)
_PARTS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION, "test": TEST}


@dataclass(frozen=True)
class Listing:
    """The image files of a folder, sorted by name within each class.

    Attributes:
        folder: The folder.
        names: Paths of the files relative to the folder.
        labels: The label of each file, shape [files].
        parts: The split of each file, TRAIN, VALIDATION or TEST; all TRAIN if there are no folders
            of splits.
        class_names: Names of the classes, indexed by label.
    """

    folder: Path
    names: Names
    labels: NDArray[np.int32]
    parts: NDArray[np.int8]
    class_names: tuple[str, ...]

    def take(self, indices: NDArray[np.intp]) -> "Listing":
        """Returns a listing of the files at `indices`, which are sorted and unique."""
        if len(indices) == len(self.names):
            return self
        return replace(
            self,
            names=self.names[indices],
            labels=self.labels[indices],
            parts=self.parts[indices],
        )


def list_folder(path: str, class_names: tuple[str, ...] = ()) -> Listing:
    """Lists the files of class folders, or of folders train, val and test with class folders.

    Args:
        path: The folder.
        class_names: The known classes, not all of which need a folder. Empty for the names of the
            class folders, of which there must be at least two.

    Raises:
        UserError: If the folder is missing or has another layout.
    """
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a folder.")
    # Absolute, so that the stream can read its files after a change of the working directory.
    folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  never raises
    folders, files = _entries(folder)
    # A folder `train` that holds no folders is a class: someone may classify vehicles.
    if "train" in folders and _entries(folder / "train")[0]:
        _check_stray(folder, files)
        return _list_parts(folder, folders, class_names)
    _check_stray(folder, files)
    if not folders:
        raise UserError(f"data.path={path}: it holds no folders. {_LAYOUT}")
    class_names = class_names or _class_names(folder, folders)
    names, labels = _list_classes(folder, "", folders, class_names)
    return Listing(folder, names, labels, np.zeros(len(names), np.int8), class_names)


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Finds the images of a folder and its subfolders by the endings of their names.

    Returns:
        The images, sorted by path; and what is left out: other files, hidden folders and hidden
        images.

    Raises:
        UserError: If a folder can't be read.
    """
    images: list[Path] = []
    left_out: list[Path] = []
    for entry, is_read in _walk(folder, (folder.resolve(),)):
        (images if is_read else left_out).append(entry)
    return sorted(images), sorted(left_out)


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, bool]]:
    """Yields the files of a folder and its subfolders, and whether each is an image to read.

    Args:
        folder: The folder.
        above: The resolved paths of the folder and its parents in the walk. A link to one of them
            is not followed, since it would never end.
    """
    for name, is_folder in _scan(folder):
        entry, is_image = folder / name, _is_image(name)
        # Hidden images and folders are reported as left out; other hidden files are noise.
        if _is_hidden(name):
            if is_folder or is_image:
                yield entry, False
        elif not is_folder:
            yield entry, is_image
        elif (place := entry.resolve()) not in above:
            yield from _walk(entry, (*above, place))


def _list_parts(folder: Path, parts: Sequence[str], class_names: tuple[str, ...]) -> Listing:
    unknown = [name for name in parts if name not in _PARTS]
    if unknown or {"val", "validation"} <= set(parts):
        raise UserError(
            f"{folder} holds the folders {', '.join(parts)}; expected train and at most one each "
            "of val (or validation) and test beside it."
        )
    # The train folder defines the classes and their labels; the others may lack some.
    class_names = class_names or _class_names(folder / "train", _entries(folder / "train")[0])
    found_files, numbers = [], []
    for part in sorted(parts, key=_PARTS.__getitem__):
        found, files = _entries(folder / part)
        _check_stray(folder / part, files)
        found_files.append(_list_classes(folder, f"{part}/", found, class_names))
        numbers.append(np.full(len(found_files[-1][0]), _PARTS[part], np.int8))
    return Listing(
        folder,
        np.concatenate([names for names, _ in found_files]),
        np.concatenate([labels for _, labels in found_files]),
        np.concatenate(numbers),
        class_names,
    )


def _class_names(folder: Path, found: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of class folders in Unicode's normal form C.

    File systems differ in the form that they store: macOS decomposes letters with accents.

    Raises:
        UserError: If two names differ only in their Unicode encoding.
    """
    names = tuple(map(normalize_text, found))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"{folder} holds two folders called {twice!r}, whose letters or spaces are encoded "
            "differently; rename one, or move its images into the other."
        )
    return names


def _list_classes(
    folder: Path, prefix: str, found: Sequence[str], class_names: Sequence[str]
) -> tuple[Names, NDArray[np.int32]]:
    """Lists the files of each class's folder; returns their paths and labels.

    Args:
        folder: The folder of the data set.
        prefix: The folder of the split, `train/` and so on; empty if there is none.
        found: The class folders there.
        class_names: Names of the classes, indexed by label.

    Raises:
        UserError: If a class is unknown, or its folder holds folders or no files.
    """
    if len(class_names) < 2 or not found:
        raise UserError(
            f"{folder / prefix} holds {len(found)} folder(s); expected one for each class, and at "
            "least two classes."
        )
    names, labels = [], []
    for name in found:
        place = folder / prefix / name
        label = normalize_text(name)
        if label not in class_names:
            raise UserError(
                f"{place}: train has no class {name!r}. It has {join_names(class_names)}."
            )
        inner, files = _entries(place)
        # A folder inside a class is more likely a mistake in the layout than a part of the class.
        if inner or not files:
            what = f"a folder, {inner[0]}" if inner else "no files"
            raise UserError(f"{place} holds {what}; expected the images of the class.")
        # An array per class: all names at once, as Python objects, take several times the memory.
        names.append(np.array([os.fsencode(f"{prefix}{name}/{file}") for file in files]))
        labels.append(np.full(len(files), class_names.index(label), np.int32))
    return np.concatenate(names), np.concatenate(labels)


def _check_stray(folder: Path, files: Sequence[str]) -> None:
    """Checks that no image is next to the class folders, where it would have no class."""
    stray = next(filter(_is_image, files), None)
    if stray is not None:
        raise UserError(f"data.path: {folder / stray} is in no class's folder. {_LAYOUT}")


def _entries(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names of the visible folders and of the other visible entries of a folder."""
    with error_context("data.path: "):
        found = _scan(folder)
    entries = [(name, is_folder) for name, is_folder in found if not _is_hidden(name)]
    folders = tuple(name for name, is_folder in entries if is_folder)
    return folders, tuple(name for name, is_folder in entries if not is_folder)


def _scan(folder: Path) -> list[tuple[str, bool]]:
    """Returns the sorted names in a folder, and whether each is a folder.

    Raises:
        UserError: If the folder can't be read.
    """
    # Sorted, since the order of a file system is arbitrary and labels must not depend on it.
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the folder {folder} can't be read: {error}. A relative path starts at the working "
            "directory."
        ) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)
