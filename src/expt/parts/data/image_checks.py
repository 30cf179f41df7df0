"""Checks of image files before training: each is read once."""

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
    """What is known of some files after reading them.

    Attributes:
        is_usable: Of each file.
        digest: The usable files' hashes of name and content, one after the other; or a hash of
            these.
        keys: Of each usable file, a hash of its pixels as two words, shape [files, 2].
        faults: The first files that can't be used, with the reason.
        is_native: See `ImageFiles`.
        sums: Of each usable file, the sums of each channel's values and of their squares, shape
            [files, 2, channels]; None if not asked for.
    """

    is_usable: NDArray[np.bool_]
    digest: bytes
    keys: NDArray[np.uint64]
    faults: tuple[str, ...]
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


def check_files(
    listing: Listing, form: ImagePreparation, *, is_strict: bool, needs_sums: bool
) -> CheckedFiles:
    """Reads all files once, in threads: Pillow decodes outside of Python's lock.

    Args:
        listing: The files.
        form: How each becomes an input.
        is_strict: Whether a file that can't be used is an error, or left out.
        needs_sums: Whether the sums of the pixels are asked for.

    Raises:
        UserError: A file can't be used.
    """
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
    """Reads some files once.

    Raises:
        UserError: One can't be used, and that is not to be passed over.
    """
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
    counts = np.reshape(image.histogram(), (-1, 256))
    values = np.arange(256)
    return np.stack([counts @ values, counts @ values**2])


def read_content(folder: Path, name: bytes) -> bytes:
    """Reads a file.

    Raises:
        UnusableError: It can't be read, or its name does not end as that of an image.
    """
    file = folder / os.fsdecode(name)
    if not file.name.lower().endswith(EXTENSIONS):
        raise UnusableError(f"only {', '.join(EXTENSIONS)} are read")
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableError(f"it can't be read ({error})") from error


def refusal(folder: Path, name: bytes, error: UnusableError) -> UserError:
    """Returns the error that reports a file that can't be used."""
    return UserError(
        f"{folder / os.fsdecode(name)} can't be used: {error} Fix or remove it, or leave out all "
        "such files with data.on_error=skip."
    )
