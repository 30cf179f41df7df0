"""The sources `cifar10` and `cifar100`, read from the user's copies of the published files."""

import io
import os
import pickle
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.joined import concatenate_splits
from expt.parts.data.preparation import BYTES
from expt.parts.data.reading import check_choice, read_npz
from expt.parts.data.scale import Scale

_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_PIXELS = 32 * 32 * 3
# The exceptions that damaged pickles are known to raise.
_PICKLE_ERRORS = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(MemoryError, OverflowError, ImportError, RecursionError),
)

_Arrays = tuple[NDArray[np.uint8], NDArray[np.int32]]


@dataclass(frozen=True)
class _Layout:
    """The names and formats of a published data set's files.

    Attributes:
        folders: Folders that the archives unpack to.
        archives: File names of the archives.
        train: Files of the train images; those of the binary version end in `.bin`.
        test: The file of the test images.
        meta: The files of class names: the pickle, and the text file of the binary version.
        labels: Key of the labels in a pickle of images.
        names: Key of the class names in the pickle of names.
        num_label_bytes: Number of bytes before the pixels in the binary version.
        label_byte: Index of the label among these bytes.
    """

    folders: tuple[str, ...]
    archives: tuple[str, ...]
    train: tuple[str, ...]
    test: str
    meta: tuple[str, str]
    labels: str
    names: str
    num_label_bytes: int = 1
    label_byte: int = 0


@dataclass(frozen=True, kw_only=True)
class CIFAR10:
    """Photographs in ten classes: 50,000 train and 10,000 test images of 32x32x3 pixels, 0 to 1.

    The files are an archive as published (the Python or the binary version), the folder that it
    unpacks to, or an `.npz` with the arrays x_train, y_train, x_test and y_test.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", University of
    Toronto, 2009.

    Args:
        path: Path of an archive, its unpacked folder or an `.npz`; or of a folder that holds one.
        batch_size: Examples per training step.
        num_validation: Number of train images held out for validation.
        split_seed: Seed for choosing the validation images.
        standardize: Whether the model standardizes each channel by the train split.
        augment: Random changes of training images, see `Augmentation`.
    """

    path: str
    batch_size: int
    num_validation: int = 5_000
    split_seed: int = 0
    standardize: bool = True
    augment: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "classification"
    name: ClassVar[str] = "cifar10"

    # Properties, not class variables: CIFAR-100's depend on the option `labels`.
    @property
    def _layout(self) -> _Layout:
        return _Layout(
            folders=("cifar-10-batches-py", "cifar-10-batches-bin"),
            archives=("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
            train=tuple(f"data_batch_{number}" for number in range(1, 6)),
            test="test_batch",
            meta=("batches.meta", "batches.meta.txt"),
            labels="labels",
            names="label_names",
        )

    @property
    def _class_names(self) -> tuple[str, ...]:
        return tuple(_CIFAR10.split())

    def load(self) -> Dataset:
        """Reads the files and holds out the validation split.

        Raises:
            UserError: If the files are missing or damaged, or an option is out of range.
        """
        augmentation = Augmentation.parse(self.augment)
        train, test, names = _read(self.path, self.name, self._layout, self._class_names)
        count = len(train[0])
        if not 0 < self.num_validation < count:
            raise UserError(
                f"data.num_validation={self.num_validation}: expected a number from 1 to below "
                f"{count}, the train images in {self.path}."
            )
        order = np.random.default_rng(self.split_seed).permutation(count)
        held_out, rest = order[: self.num_validation], order[self.num_validation :]
        inputs = _pixels(train[0][rest])
        return Dataset(
            name=self.name,
            task=self.task,
            train=Split(inputs, train[1][rest]),
            validation=Split(_pixels(train[0][held_out]), train[1][held_out]),
            test=Split(_pixels(test[0]), test[1]),
            batch_size=self.batch_size,
            class_names=names,
            input_scale=Scale.fit(inputs) if self.standardize else None,
            augmentation=augmentation,
            preparation=BYTES.to_mapping(),
        )

    def load_whole(self, _class_names: Sequence[str], /) -> Dataset:
        """Reads the files and joins train and test images. The classes are those of the files."""
        *parts, names = _read(self.path, self.name, self._layout, self._class_names)
        whole = concatenate_splits([Split(_pixels(images), labels) for images, labels in parts])
        return Dataset(
            name=self.name,
            task=self.task,
            train=whole,
            validation=whole,
            test=whole,
            batch_size=1,
            class_names=names,
            input_scale=Scale.fit(np.asarray(whole.inputs)) if self.standardize else None,
            preparation=BYTES.to_mapping(),
        )


@dataclass(frozen=True, kw_only=True)
class CIFAR100(CIFAR10):
    """Photographs in 100 classes, which form 20 groups; images and files are like CIFAR-10's.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", University of
    Toronto, 2009.

    Args:
        path: Path of an archive, its unpacked folder or an `.npz`; or of a folder that holds one.
        labels: `fine` for the 100 classes, `coarse` for their 20 groups.
        batch_size: Examples per training step.
        num_validation: Number of train images held out for validation.
        split_seed: Seed for choosing the validation images.
        standardize: Whether the model standardizes each channel by the train split.
        augment: Random changes of training images, see `Augmentation`.
    """

    labels: str = "fine"
    name: ClassVar[str] = "cifar100"

    @property
    def _layout(self) -> _Layout:
        return _Layout(
            folders=("cifar-100-python", "cifar-100-binary"),
            archives=("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
            train=("train",),
            test="test",
            meta=("meta", f"{self.labels}_label_names.txt"),
            labels=f"{self.labels}_labels",
            names=f"{self.labels}_label_names",
            num_label_bytes=2,
            label_byte=0 if self.labels == "coarse" else 1,
        )

    @property
    def _class_names(self) -> tuple[str, ...]:
        return tuple((_CIFAR100_COARSE if self.labels == "coarse" else _CIFAR100_FINE).split())

    def load(self) -> Dataset:
        """Reads the files and holds out the validation split.

        Raises:
            UserError: If the files are missing or damaged, or an option is out of range.
        """
        check_choice("labels", self.labels, ("fine", "coarse"))
        return super().load()


def _read(
    path: str, name: str, layout: _Layout, class_names: tuple[str, ...]
) -> tuple[_Arrays, _Arrays, tuple[str, ...]]:
    """Reads the files: train images with labels, test images with labels, and class names."""
    place = _find(path, name, layout)
    if place is not None and place.suffix == ".npz":
        arrays = _read_npz(place)
        train, test = (
            _check(arrays[f"x_{part}"], arrays[f"y_{part}"], f"{place}, {part}", class_names)
            for part in ("train", "test")
        )
        return train, test, class_names
    # The folder or archive may be of the Python or of the binary version: its files decide.
    contents = {} if place is None else _contents(place, layout)
    files = (*layout.train, layout.test)
    is_binary = not contents.keys() & set(files)
    wanted = [f"{file}.bin" for file in files] if is_binary else list(files)
    missing = [file for file in wanted if file not in contents]
    if place is None or len(missing) == len(wanted):
        raise UserError(
            f"data={name}: the files are not at data.path={path}. Put there one of "
            f"{', '.join(layout.archives)}, a folder that one of them unpacks to "
            f"({', '.join(layout.folders)}), or {name}.npz (arrays {', '.join(_NPZ_KEYS)}). "
            "Or point data.path=… to where it is."
        )
    if missing:
        raise UserError(f"data={name}: {', '.join(missing)} missing from {place}.")
    # The files' own names win: a subset or variant may have the same layout with other classes.
    names = _read_names(contents, place, layout, is_binary=is_binary) or class_names
    if len(names) != len(class_names):
        raise UserError(
            f"{place / layout.meta[is_binary]} names {len(names)} classes; expected "
            f"{len(class_names)}."
        )
    read = _read_binary if is_binary else _read_batch
    # Popped, so that the raw bytes of a file are freed once its images are made.
    parts = [read(contents.pop(file), place / file, layout, names) for file in wanted]
    images = np.concatenate([images for images, _ in parts[:-1]])
    labels = np.concatenate([labels for _, labels in parts[:-1]])
    return (images, labels), parts[-1], names


def _find(path: str, name: str, layout: _Layout) -> Path | None:
    """Returns the path of the archive, the `.npz` or the folder that holds the files, if any."""
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a file or folder.")
    place = Path(os.path.expanduser(path))  # noqa: PTH111  never raises
    names = (*layout.folders, *layout.archives, f"{name}.npz")
    try:
        inside = [place / name for name in names if place.is_dir() and (place / name).exists()]
        return inside[0] if inside else place if place.exists() else None
    except OSError as error:
        raise UserError(f"data.path={path} can't be read: {error}") from error


def _contents(place: Path, layout: _Layout) -> dict[str, bytes]:
    """Reads the data set's files from a folder or an archive; returns their contents by name."""
    files = (*layout.train, layout.test)
    wanted = {*files, *(f"{file}.bin" for file in files), *layout.meta}
    try:
        if place.is_dir():
            paths = (place / name for name in sorted(wanted))
            return {path.name: path.read_bytes() for path in paths if path.is_file()}
        contents = {}
        # In the archive's order: seeking back would decompress it from the start again.
        with tarfile.open(place) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                stream = archive.extractfile(member) if member.isreg() and name in wanted else None
                if stream is not None:
                    contents[name] = stream.read()
            # Read to the end: only there does gzip compare its checksum.
            while archive.fileobj is not None and archive.fileobj.read(2**20):
                pass
        return contents
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise UserError(
            f"{place} can't be read: {error}. Expected one of {', '.join(layout.archives)}, "
            "complete; is it cut off?"
        ) from error


def _npz_keys(file: Path, names: Sequence[str]) -> Sequence[str]:
    missing = [key for key in _NPZ_KEYS if key not in names]
    if missing:
        raise UserError(
            f"{file}: the arrays {', '.join(missing)} are missing; it has "
            f"{', '.join(names) or 'none'}."
        )
    return _NPZ_KEYS


def _read_npz(file: Path) -> dict[str, NDArray[Any]]:
    arrays = read_npz(file, partial(_npz_keys, file))
    # Keras stores labels with the shape [examples, 1].
    return {k: a[:, 0] if k[0] == "y" and a.shape[1:] == (1,) else a for k, a in arrays.items()}


class _DtypeStandIn:
    """Replaces `numpy.dtype` in a pickle; accepts integer types only."""

    def __init__(self, code: object, *_: object) -> None:
        if not re.fullmatch("[iu][1248]", _text(code)):
            raise pickle.UnpicklingError(f"an array of the type {_text(code)}")
        self.dtype = np.dtype(_text(code))

    def __setstate__(self, state: Sequence[object]) -> None:
        if _text(state[1]) == ">":
            self.dtype = self.dtype.newbyteorder(">")


class _ArrayStandIn:
    """Replaces `numpy.ndarray` in a pickle; `values` is the array."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, kind, is_fortran, content = state
        # frombuffer and reshape raise an error if the sizes that the pickle claims don't match.
        values = np.frombuffer(content, kind.dtype)
        self.values = values.reshape(shape, order="F" if is_fortran else "C")


def _from_buffer(content: Any, kind: Any, shape: Any, order: object, *_: object) -> _ArrayStandIn:
    # Pickles of protocol 5 hold arrays in this form, older ones in that of __setstate__.
    array = _ArrayStandIn()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _latin1(text: str, *_: object) -> bytes:
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """An unpickler of numbers, texts, lists, dicts and integer arrays that runs no foreign code.

    A pickle can call any function with any arguments. Even NumPy's own functions are unsafe: they
    trust their arguments, and an array whose dtype has wrong flags treats its numbers as pointers.
    The names that pickled arrays need are therefore mapped to the stand-ins above, and all other
    names are refused.
    """

    _STAND_INS: ClassVar[Mapping[tuple[str, str], Any]] = {
        # numpy.core in pickles of NumPy 1, numpy._core in those of NumPy 2.
        ("numpy.core.multiarray", "_reconstruct"): _ArrayStandIn,
        ("numpy._core.multiarray", "_reconstruct"): _ArrayStandIn,
        ("numpy.core.numeric", "_frombuffer"): _from_buffer,
        ("numpy._core.numeric", "_frombuffer"): _from_buffer,
        ("numpy", "ndarray"): _ArrayStandIn,
        ("numpy", "dtype"): _DtypeStandIn,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Returns the stand-in for a global name.

        Raises:
            UserError: If the name is not one that a pickled array needs.
        """
        try:
            return self._STAND_INS[module_name, global_name]
        except KeyError:
            raise UserError(
                f"it holds code ({module_name}.{global_name}), which is never run. The published "
                "files hold arrays only: check where this one comes from."
            ) from None


def _unpickle(content: bytes, file: Path) -> dict[str, Any]:
    try:
        # The published files were written by Python 2, whose strings are bytes.
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except _PICKLE_ERRORS as error:
        raise UserError(f"{file} can't be read as a pickle; is it cut off? {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{file} holds a {type(value).__name__}; expected a dict of arrays.")
    return {_text(k): v.values if isinstance(v, _ArrayStandIn) else v for k, v in value.items()}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _read_batch(content: bytes, file: Path, layout: _Layout, names: tuple[str, ...]) -> _Arrays:
    """Reads a file of the Python version; a row is a red, a green and a blue plane."""
    batch = _unpickle(content, file)
    missing = [key for key in ("data", layout.labels) if key not in batch]
    if missing:
        raise UserError(f"{file}: {', '.join(missing)} missing; it has {', '.join(batch)}.")
    rows = batch["data"]
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != _PIXELS:
        raise UserError(
            f"{file}: data has the shape {np.shape(rows)}; expected (examples, {_PIXELS})."
        )
    try:
        labels = np.asarray(batch[layout.labels])
    except ValueError as error:
        raise UserError(f"{file}: {layout.labels} is not a list of numbers: {error}") from error
    return _check(_planes(rows), labels, str(file), names)


def _read_binary(content: bytes, file: Path, layout: _Layout, names: tuple[str, ...]) -> _Arrays:
    """Reads a file of the binary version; an image is its label bytes and three planes."""
    length = layout.num_label_bytes + _PIXELS
    if not content or len(content) % length:
        raise UserError(
            f"{file} has {len(content)} bytes; expected a multiple of {length}. Is it cut off?"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    images = _planes(records[:, layout.num_label_bytes :])
    return _check(images, records[:, layout.label_byte], str(file), names)


def _planes(rows: NDArray[Any]) -> NDArray[Any]:
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _check(
    images: NDArray[Any], labels: NDArray[Any], where: str, names: tuple[str, ...]
) -> _Arrays:
    if images.shape[1:] != (32, 32, 3) or not _in_range(images, 256):
        raise UserError(
            f"{where}: images have the shape {images.shape} and the type {images.dtype}; expected "
            "whole numbers from 0 to 255 of shape (examples, 32, 32, 3)."
        )
    if labels.shape != images.shape[:1] or not _in_range(labels, len(names)):
        raise UserError(
            f"{where}: labels have the shape {labels.shape} and the type {labels.dtype}; expected "
            f"labels from 0 to {len(names) - 1}, one for each of {len(images)} images."
        )
    return images.astype(np.uint8, copy=False), labels.astype(np.int32)


# An empty or non-integer array is out of range, which spares the callers further checks.
def _in_range(values: NDArray[Any], below: int) -> bool:
    is_whole = np.issubdtype(values.dtype, np.integer)
    return bool(is_whole and values.size and values.min() >= 0 and values.max() < below)


def _read_names(
    contents: Mapping[str, bytes], place: Path, layout: _Layout, *, is_binary: bool
) -> tuple[str, ...]:
    """Returns the class names that came with the images, or () if there are none."""
    name = layout.meta[is_binary]
    if name not in contents:
        return ()
    if is_binary:
        return tuple(filter(None, map(str.strip, _text(contents[name]).splitlines())))
    names = _unpickle(contents[name], place / name).get(layout.names, ())
    return tuple(_text(value) for value in names) if isinstance(names, list) else ()


def _pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.divide(images, np.float32(255), order="C")


# The names as published, in the order of their labels; an .npz has none.
_CIFAR10 = """
    airplane automobile bird cat deer dog frog horse ship truck
"""
_CIFAR100_COARSE = """
    aquatic_mammals fish flowers food_containers fruit_and_vegetables
    household_electrical_devices household_furniture insects large_carnivores
    large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
    medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
    vehicles_2
"""
_CIFAR100_FINE = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
    plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
