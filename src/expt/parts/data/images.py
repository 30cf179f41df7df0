"""Images in folders named after their classes, read from disk as training needs them."""

import hashlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from expt.errors import UserError
from expt.parts.data.dataset import Augmentation, Dataset, Scale, Split, Task
from expt.parts.data.image_files import (
    Form,
    ImageFiles,
    Names,
    UnusableError,
    channels_of,
    open_image,
)
from expt.parts.data.image_listing import EXTENSIONS, TEST, TRAIN, VALIDATION, Listing, list_folder
from expt.parts.data.reading import check_choice, told_of
from expt.parts.data.splitting import split_indices

_FILES_AT_ONCE = 128


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
        found = list_folder(self.path)
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

    def _find_form(self, listing: "Listing") -> "Form":
        """Takes what is not given from the first file that can be decoded."""
        for name in listing.names.tolist():
            try:
                image = open_image(_content(listing.folder, name))
            except UnusableError as error:
                if self.on_error == "error":
                    raise _told(listing.folder, name, error) from error
                continue
            width, height = image.size
            if self.image_size is not None:
                height, width = self.image_size
            return Form(
                height,
                width,
                self.channels or channels_of(image),
                can_resize=self.image_size is not None,
                can_recolour=self.channels is not None,
            )
        raise UserError(f"data.path={self.path}: none of the files there can be decoded.")

    def _check(self, listing: "Listing", form: "Form") -> "_Checked":
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

    def _check_rest(self, found: "Listing", usable: "Listing") -> None:
        """Checks that no class and no split went away with the files that can't be used."""
        labels = usable.labels[usable.parts == TRAIN]
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

    def _split(self, listing: "Listing") -> list[NDArray[np.intp]]:
        """Returns the indices of each split; what has no folder comes from the train images."""
        given = [np.flatnonzero(listing.parts == part) for part in range(3)]
        train = given[TRAIN]
        if all(len(indices) for indices in given):
            return given
        names = np.asarray(listing.class_names)  # so that a message can name the class
        with told_of(f"data.path={self.path}: "):
            drawn = split_indices(len(train), self.split_seed, names[listing.labels[train]])
        held_out = [part for part in (VALIDATION, TEST) if not len(given[part])]
        for part in held_out:
            given[part] = np.sort(train[drawn[part]])
        given[TRAIN] = np.setdiff1d(train, np.concatenate([given[part] for part in held_out]))
        return given


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
        return Scale(np.asarray(means, np.float64), np.asarray(deviations, np.float64))


def _check_files(
    folder: Path, form: Form, names: Names, *, is_strict: bool, needs_sums: bool
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
        except UnusableError as error:
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
    if not file.name.lower().endswith(EXTENSIONS):
        raise UnusableError(f"only {', '.join(EXTENSIONS)} are read.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableError(f"it can't be read ({error}).") from error


def _told(folder: Path, name: bytes, error: UnusableError) -> UserError:
    return UserError(
        f"{folder / os.fsdecode(name)} can't be used: {error} Mend or remove it, or leave out all "
        "such files with data.on_error=skip."
    )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
