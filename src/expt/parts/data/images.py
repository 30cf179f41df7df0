"""Images in folders named after their classes, read from disk as training needs them."""

import hashlib
import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from expt.errors import RunError, UserError
from expt.parts.data.dataset import Augmentation, Dataset, Scale, Split, Task
from expt.parts.data.reading import check_choice, told_of
from expt.parts.data.splitting import split_indices

Names = NDArray[np.bytes_]

_EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_FORMATS = ("BMP", "GIF", "JPEG", "PNG")
_GRAY_MODES = ("1", "L", "LA")
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_TRAIN, _VALIDATION, _TEST = range(3)
_PARTS = {"train": _TRAIN, "val": _VALIDATION, "validation": _VALIDATION, "test": _TEST}
_FILES_AT_ONCE = 128
# What Pillow raises for files that are damaged in one way or another.
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, AttributeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


@dataclass(frozen=True)
class ImageFiles:
    """Image files as inputs: pixels from 0 to 1, shape [files, height, width, channels].

    Attributes:
        folder: Where the files are.
        names: Their paths from there; splits share them.
        indices: Which of the names are meant, in order.
        height: Of each image, in pixels.
        width: Of each image, in pixels.
        channels: 1 for gray or 3 for red, green and blue.
        digest: A hash of all names and contents.
        needs_resizing: Whether `read` resizes what has another size.
        is_native: Whether `tf.io.decode_jpeg`, which takes PNG too, gives the very pixels that
            `read` does, with `channels=channels` and `dct_method="INTEGER_ACCURATE"`.
    """

    folder: str
    names: Names
    indices: NDArray[np.intp]
    height: int
    width: int
    channels: int
    digest: str
    needs_resizing: bool
    is_native: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of files, then the shape of an image."""
        return (len(self.indices), self.height, self.width, self.channels)

    @property
    def fingerprint(self) -> str:
        """A hash of the content of all files, and of what is made of them."""
        digest = hashlib.blake2b(f"{self.digest} {self.shape}".encode(), digest_size=16)
        digest.update(self.indices.astype("<i8").tobytes())
        return digest.hexdigest()

    def take(self, indices: NDArray[np.integer[Any]]) -> "ImageFiles":
        """Returns the stream of some of the files."""
        return replace(self, indices=self.indices[indices])

    def files(self, indices: NDArray[np.integer[Any]]) -> Names:
        """Returns the paths of some files, as bytes."""
        prefix = np.bytes_(os.fsencode(self.folder) + b"/")
        return np.strings.add(prefix, self.names[self.indices[indices]])

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Decodes some files, shape [indices, height, width, channels].

        Raises:
            RunError: A file is not what it was when the data was loaded.
        """
        form = _Form(self.height, self.width, self.channels, can_resize=self.needs_resizing)
        pixels = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, name in enumerate(self.files(indices).tolist()):
            file = Path(os.fsdecode(name))
            try:
                image = form.decode(file.read_bytes()).image
            except (OSError, _UnusableError) as error:
                raise RunError(
                    f"{file} was fine when the data was loaded and is not any more: {error}"
                ) from error
            pixels[row] = np.asarray(image).reshape(pixels.shape[1:])
        pixels /= 255
        return pixels


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images in folders named after their classes.

    The folder holds either one folder a class, which are split into 70 % train, 15 % validation
    and 15 % test with each class's share in each, or the folders `train`, `val` (or `validation`)
    and `test`, which hold one folder a class; where one of the latter two is missing, 15 % of the
    train images take its place.

    All files are read once while loading: whatever is wrong with one is told before training.
    Training reads them again, batch by batch, so that the images need not fit in memory. PNG,
    JPEG, BMP and GIF (its first picture) are read; transparency and an orientation in EXIF are
    ignored. Hidden files are too.

    Attributes:
        path: The folder.
        batch_size: Examples a step.
        image_size: Height and width that all images are resized to: bilinearly, averaging over
            what a pixel shrinks (Pillow's BILINEAR). None expects the same size of all files.
        channels: 1 for gray, 3 for colours; None takes it from the first file and expects the
            same of all.
        on_error: What happens to files that can't be used: `error` tells of the first, `skip`
            leaves them out.
        split_seed: Seed of the splits that are not given.
        standardize: Whether the model standardises each channel by the train images.
        augment: How training images are changed at random, see `Augmentation`.
    """

    path: str
    batch_size: int
    image_size: Sequence[int] | None = None
    channels: int | None = None
    on_error: str = "error"
    split_seed: int = 0
    standardize: bool = False
    augment: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "classification"

    def load(self) -> Dataset:
        """Finds the files, reads each once, and splits them."""
        augmentation = Augmentation.parse(self.augment)
        self._check_options()
        found = _list(self.path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of what does no harm, as bad EXIF
            # Where an image is so large that it may be an attack, Pillow only warns at first.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            form = self._find_form(found)
            checked = self._check(found, form)
        listing = found.take(np.flatnonzero(checked.is_usable))
        self._check_rest(found, listing)
        indices = self._split(listing)
        images = ImageFiles(
            folder=str(listing.folder),
            names=listing.names,
            indices=np.arange(len(listing.names)),
            height=form.height,
            width=form.width,
            channels=form.channels,
            digest=checked.digest.hex(),
            needs_resizing=checked.needs_resizing,
            is_native=checked.is_native,
        )
        train, validation, test = (Split(images.take(i), listing.labels[i]) for i in indices)
        num_pixels = len(train) * form.height * form.width
        return Dataset(
            name="image_folder",
            task=self.task,
            train=train,
            validation=validation,
            test=test,
            batch_size=self.batch_size,
            class_names=listing.class_names,
            input_scale=checked.scale(indices[0], num_pixels) if self.standardize else None,
            augmentation=augmentation,
            skipped=int((~checked.is_usable).sum()),
        )

    def _check_options(self) -> None:
        size = self.image_size
        if size is not None:
            is_list = isinstance(size, Sequence) and not isinstance(size, str)
            if not is_list or len(size) != 2 or not all(map(_is_positive, size)):
                raise UserError(
                    f"data.image_size={size}: expected [height, width] in pixels, or null."
                )
        if isinstance(self.channels, bool) or self.channels not in (None, 1, 3):
            raise UserError(
                f"data.channels={self.channels}: expected 1 (gray), 3 (colours) or null."
            )
        check_choice("on_error", self.on_error, ("error", "skip"))

    def _find_form(self, listing: "_Listing") -> "_Form":
        """Takes what is not given from the first file that can be decoded."""
        for name in listing.names.tolist():
            try:
                image = _open(_content(listing.folder, name))
            except _UnusableError as error:
                if self.on_error == "error":
                    raise _told(listing.folder, name, error) from error
                continue
            width, height = image.size
            if self.image_size is not None:
                height, width = self.image_size
            return _Form(
                height,
                width,
                self.channels or _channels(image),
                can_resize=self.image_size is not None,
                can_recolour=self.channels is not None,
            )
        raise UserError(f"data.path={self.path}: none of the files there can be decoded.")

    def _check(self, listing: "_Listing", form: "_Form") -> "_Checked":
        """Reads all files once, in threads: Pillow decodes outside of Python's lock."""
        digest, parts = hashlib.blake2b(digest_size=16), []
        starts = range(0, len(listing.names), _FILES_AT_ONCE)
        chunks = (listing.names[start : start + _FILES_AT_ONCE] for start in starts)
        check = partial(
            _check_files,
            listing.folder,
            form,
            is_strict=self.on_error == "error",
            needs_sums=self.standardize,
        )
        with ThreadPoolExecutor() as threads:
            for part in threads.map(check, chunks):
                digest.update(part.digest)
                parts.append(replace(part, digest=b""))
        sums = [part.sums for part in parts if part.sums is not None]
        return _Checked(
            is_usable=np.concatenate([part.is_usable for part in parts]),
            digest=digest.digest(),
            needs_resizing=any(part.needs_resizing for part in parts),
            is_native=all(part.is_native for part in parts),
            sums=np.concatenate(sums) if sums else None,
        )

    def _check_rest(self, found: "_Listing", usable: "_Listing") -> None:
        """Checks that no class and no split went away with the files that can't be used."""
        labels = usable.labels[usable.parts == _TRAIN]
        counts = np.bincount(labels, minlength=len(usable.class_names))
        if not counts.all():
            raise UserError(
                f"data.path={self.path}: no file of the class "
                f"{usable.class_names[counts.argmin()]!r} can be used for training; "
                "data.on_error=error tells why."
            )
        if len(np.unique(usable.parts)) < len(np.unique(found.parts)):
            raise UserError(
                f"data.path={self.path}: no file of the val or the test folder can be used; "
                "data.on_error=error tells why."
            )

    def _split(self, listing: "_Listing") -> list[NDArray[np.intp]]:
        """Returns the indices of each split; what has no folder comes from the train images."""
        given = [np.flatnonzero(listing.parts == part) for part in range(3)]
        train = given[_TRAIN]
        if all(len(indices) for indices in given):
            return given
        names = np.asarray(listing.class_names)  # so that a message can name the class
        with told_of(f"data.path={self.path}: "):
            drawn = split_indices(len(train), self.split_seed, names[listing.labels[train]])
        held_out = [part for part in (_VALIDATION, _TEST) if not len(given[part])]
        for part in held_out:
            given[part] = np.sort(train[drawn[part]])
        given[_TRAIN] = np.setdiff1d(train, np.concatenate([given[part] for part in held_out]))
        return given


class _UnusableError(Exception):
    """A file that is no image of the form that is expected; says why."""


@dataclass(frozen=True)
class _Decoded:
    """An image of the wanted form, whether it was resized, and see `ImageFiles.is_native`."""

    image: Image.Image
    was_resized: bool
    is_native: bool


@dataclass(frozen=True)
class _Form:
    """What all images are brought to, and which files may differ from it."""

    height: int
    width: int
    channels: int
    can_resize: bool
    can_recolour: bool = True

    def decode(self, content: bytes) -> _Decoded:
        image = _open(content)
        channels, size = _channels(image), (self.width, self.height)
        if channels != self.channels and not self.can_recolour:
            kinds = {1: "gray", 3: "in colours"}
            raise _UnusableError(
                f"it is {kinds[channels]} and the first file {kinds[self.channels]}; "
                "data.channels=1 or data.channels=3 converts all."
            )
        if image.size != size and not self.can_resize:
            raise _UnusableError(
                f"it has {image.height}x{image.width} pixels and the first file "
                f"{self.height}x{self.width}; data.image_size=[{self.height},{self.width}] "
                "resizes all."
            )
        is_native = image.format in ("JPEG", "PNG") and image.mode != "CMYK"
        is_native = is_native and channels <= self.channels and image.size == size
        converted = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != size:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return _Decoded(converted, image.size != size, is_native)


def _open(content: bytes) -> Image.Image:
    """Decodes an image as it is.

    A decoder that stops at the last pixel does not see that the end is missing, and TensorFlow's
    refuses such a file; hence the checks of PNG.
    """
    if not content:
        raise _UnusableError("it is empty.")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        if image.format == "PNG":
            if content[24] == 16:
                raise _UnusableError("it has 16 bits a channel; images of 8 are read.")
            if content.rfind(_PNG_END) < 0:
                raise _UnusableError("it is cut off.")
            Image.open(io.BytesIO(content), formats=("PNG",)).verify()
        image.load()
    except UnidentifiedImageError as error:
        raise _UnusableError("it is no BMP, GIF, JPEG or PNG file, or damaged.") from error
    except _DECODING_ERRORS as error:
        raise _UnusableError(f"it can't be decoded ({error}).") from error
    image.info.pop("transparency", None)  # Pillow would warn of dropping it
    return image


def _channels(image: Image.Image) -> int:
    return 1 if image.mode in _GRAY_MODES else 3


@dataclass(frozen=True)
class _Listing:
    """The files, in the order of their names.

    Attributes:
        folder: Where they are.
        names: Their paths from there.
        labels: The number of each file's class.
        parts: Which split's folder each is in; _TRAIN if there are none.
        class_names: In the order of their numbers.
    """

    folder: Path
    names: Names
    labels: NDArray[np.int32]
    parts: NDArray[np.int8]
    class_names: tuple[str, ...]

    def take(self, indices: NDArray[np.intp]) -> "_Listing":
        if len(indices) == len(self.names):
            return self
        return replace(
            self,
            names=self.names[indices],
            labels=self.labels[indices],
            parts=self.parts[indices],
        )


def _list(path: str) -> _Listing:
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a folder.")
    folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  never raises
    folders, files = _entries(folder)
    if "train" in folders and _entries(folder / "train")[0]:
        return _list_parts(folder, folders)
    stray = next((name for name in files if name.lower().endswith(_EXTENSIONS)), None)
    if not folders or stray is not None:
        what = f"{stray} is in no class's folder" if stray else "it holds no folders"
        raise UserError(
            f"data.path={path}: {what}. Expected a folder of images for each class, or folders "
            "train, val and test that hold such folders."
        )
    names, labels = _list_classes(folder, "", folders, folders)
    return _Listing(folder, names, labels, np.zeros(len(names), np.int8), folders)


def _list_parts(folder: Path, parts: Sequence[str]) -> _Listing:
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
    return _Listing(
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


@dataclass(frozen=True)
class _Checked:
    """What is known of some files after reading them.

    Attributes:
        is_usable: Of each file.
        digest: The usable files' hashes of name and content, one after the other; or a hash of
            these.
        needs_resizing: Whether a file has another size.
        is_native: See `ImageFiles`.
        sums: Of each usable file, the sums of each channel's values and of their squares, shape
            [files, 2, channels]; None if not asked for.
    """

    is_usable: NDArray[np.bool_]
    digest: bytes
    needs_resizing: bool
    is_native: bool
    sums: NDArray[np.int64] | None

    def scale(self, indices: NDArray[np.intp], num_pixels: int) -> Scale:
        """Returns each channel's mean and deviation over some files of so many pixels in all."""
        assert self.sums is not None
        means, deviations = [], []
        # In Python's whole numbers, so that nothing is rounded before the end.
        for total, squares in self.sums[indices].sum(axis=0).T.tolist():
            means.append(total / num_pixels / 255)
            variance = (num_pixels * squares - total**2) / num_pixels**2
            deviations.append(math.sqrt(variance) / 255 or 1.0)
        return Scale(np.asarray(means, np.float32), np.asarray(deviations, np.float32))


def _check_files(
    folder: Path, form: _Form, names: Names, *, is_strict: bool, needs_sums: bool
) -> _Checked:
    """Reads some files once.

    Raises:
        UserError: One can't be used, and that is not to be passed over.
    """
    digests, images, is_usable = [], [], np.ones(len(names), bool)
    sums = []
    for index, name in enumerate(names.tolist()):
        try:
            content = _content(folder, name)
            decoded = form.decode(content)
        except _UnusableError as error:
            if is_strict:
                raise _told(folder, name, error) from error
            is_usable[index] = False
            continue
        digests.append(hashlib.blake2b(name + b"\0" + content, digest_size=16).digest())
        images.append((decoded.was_resized, decoded.is_native))
        if needs_sums:
            sums.append(_sums(decoded.image))
    return _Checked(
        is_usable,
        b"".join(digests),
        needs_resizing=any(was_resized for was_resized, _ in images),
        is_native=all(is_native for _, is_native in images),
        sums=np.stack(sums) if sums else None,
    )


def _sums(image: Image.Image) -> NDArray[np.int64]:
    counts = np.reshape(image.histogram(), (-1, 256))
    values = np.arange(256)
    return np.stack([counts @ values, counts @ values**2])


def _content(folder: Path, name: bytes) -> bytes:
    file = folder / os.fsdecode(name)
    if not file.name.lower().endswith(_EXTENSIONS):
        raise _UnusableError(f"only {', '.join(_EXTENSIONS)} are read.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise _UnusableError(f"it can't be read ({error}).") from error


def _told(folder: Path, name: bytes, error: _UnusableError) -> UserError:
    return UserError(
        f"{folder / os.fsdecode(name)} can't be used: {error} Mend or remove it, or leave out all "
        "such files with data.on_error=skip."
    )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
