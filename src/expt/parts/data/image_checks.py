"""Checks of image files before training; every file is read and decoded once."""

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from expt.errors import UserError
from expt.parts.data.image_decoding import EXTENSIONS, UnusableError
from expt.parts.data.image_files import Names
from expt.parts.data.image_listing import Listing
from expt.parts.data.image_preparation import ImagePreparation
from expt.parts.data.scale import Scale

_FILES_AT_ONCE = 128
_MOST_NAMED = 3


@dataclass(frozen=True)
class CheckedFiles:
    """The results of reading some files once.

    Attributes:
        is_usable: Whether each file is usable, shape [files].
        digest: The concatenated hashes of name and content of the usable files; in the result of
            `check_files`, a hash of these.
        keys: Hashes of the pixels of the usable files, as two words each, shape [files, 2].
        faults: The first unusable files, each with its fault.
        is_native: Whether all usable files are native, see `ImageFiles`.
        sums: Sums of each channel's values and of their squares, for the usable files, shape
            [files, 2, channels]; None if not requested.
    """

    is_usable: NDArray[np.bool_]
    digest: bytes
    keys: NDArray[np.uint64]
    faults: tuple[str, ...]
    is_native: bool
    sums: NDArray[np.int64] | None

    def scale(self, indices: NDArray[np.intp], num_pixels: int) -> Scale:
        """Computes mean and standard deviation of each channel over the files at `indices`.

        Args:
            indices: Indices of usable files.
            num_pixels: The number of pixels of all these files together.
        """
        # From sums per file: the train split is drawn after reading, and files are read only once.
        assert self.sums is not None
        means, deviations = [], []
        # In Python integers, so that the variance is exact until the last division.
        for total, squares in self.sums[indices].sum(axis=0).T.tolist():
            means.append(total / num_pixels / 255)
            variance = (num_pixels * squares - total**2) / num_pixels**2
            deviations.append(math.sqrt(variance) / 255 or 1.0)
        return Scale(np.asarray(means, np.float64), np.asarray(deviations, np.float64))


def check_files(
    listing: Listing, form: ImagePreparation, *, is_strict: bool, needs_sums: bool
) -> CheckedFiles:
    """Reads and decodes all files once.

    Args:
        listing: The files.
        form: The conversion of files to inputs.
        is_strict: Whether an unusable file is an error; otherwise it is left out.
        needs_sums: Whether to compute `sums`.

    Raises:
        UserError: If `is_strict` and a file is unusable.
    """
    # Threads, not processes: Pillow releases Python's lock while it decodes.
    digest, parts = hashlib.blake2b(digest_size=16), []
    starts = range(0, len(listing.names), _FILES_AT_ONCE)
    chunks = (listing.names[start : start + _FILES_AT_ONCE] for start in starts)
    check = partial(_check_some, listing.folder, form, is_strict=is_strict, needs_sums=needs_sums)
    with ThreadPoolExecutor() as threads:
        for part in threads.map(check, chunks):
            digest.update(part.digest)
            parts.append(replace(part, digest=b""))
    sums = [part.sums for part in parts if part.sums is not None]
    return CheckedFiles(
        is_usable=np.concatenate([part.is_usable for part in parts]),
        digest=digest.digest(),
        keys=np.concatenate([part.keys for part in parts]),
        faults=tuple(fault for part in parts for fault in part.faults)[:_MOST_NAMED],
        is_native=all(part.is_native for part in parts),
        sums=np.concatenate(sums) if sums else None,
    )


def _check_some(
    folder: Path, form: ImagePreparation, names: Names, *, is_strict: bool, needs_sums: bool
) -> CheckedFiles:
    """Reads and decodes some files once; arguments and errors are those of `check_files`."""
    digests, natives, is_usable = [], [], np.ones(len(names), bool)
    keys, faults, sums = [], [], []
    for index, name in enumerate(names.tolist()):
        try:
            content = read_content(folder, name)
            decoded = form.decode(content)
        except UnusableError as error:
            if is_strict:
                raise refusal(folder, name, error) from error
            is_usable[index] = False
            faults.append(f"{name.decode('utf-8', 'replace')} ({error.fault})")
            continue
        digests.append(hashlib.blake2b(name + b"\0" + content, digest_size=16).digest())
        keys.append(hashlib.blake2b(decoded.image.tobytes(), digest_size=16).digest())
        natives.append(decoded.is_native)
        if needs_sums:
            sums.append(_sums(decoded.image))
    return CheckedFiles(
        is_usable,
        b"".join(digests),
        np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2),
        faults=tuple(faults[:_MOST_NAMED]),
        is_native=all(natives),
        sums=np.stack(sums) if sums else None,
    )


def _sums(image: Image.Image) -> NDArray[np.int64]:
    # A histogram of 8-bit values holds all that the sums need, and Pillow computes it in C.
    counts = np.reshape(image.histogram(), (-1, 256))
    values = np.arange(256)
    return np.stack([counts @ values, counts @ values**2])


def read_content(folder: Path, name: bytes) -> bytes:
    """Reads the content of an image file.

    Raises:
        UnusableError: If the file can't be read, or its name has another ending.
    """
    file = folder / os.fsdecode(name)
    if not file.name.lower().endswith(EXTENSIONS):
        raise UnusableError(f"only {', '.join(EXTENSIONS)} are read")
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableError(f"it can't be read ({error})") from error


def refusal(folder: Path, name: bytes, error: UnusableError) -> UserError:
    """Returns the error that reports an unusable file."""
    return UserError(
        f"{folder / os.fsdecode(name)} can't be used: {error} Fix or remove it, or leave out all "
        "such files with data.on_error=skip."
    )
