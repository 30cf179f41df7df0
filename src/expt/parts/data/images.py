"""The source `image_folder`: images in one folder per class, read from disk while training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.image_checks import CheckedFiles, check_files, read_content, refusal
from expt.parts.data.image_decoding import UnusableError, decode_image, pillow_warnings
from expt.parts.data.image_files import ImageFiles
from expt.parts.data.image_listing import TEST, TRAIN, VALIDATION, Listing, list_folder
from expt.parts.data.image_preparation import ImagePreparation, parse_background
from expt.parts.data.reading import check_choice, error_context
from expt.parts.data.splitting import DEFAULT_SPLIT, Shares, split_indices, unused_note
from expt.parts.numbers import is_count


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images in folders that are named after their classes.

    The folder holds either one folder per class, whose images are split into train, validation and
    test (stratified by class), or the folders `train`, `val` (or `validation`) and `test`, each
    with one folder per class. If one of the latter two is missing, its share is drawn from the
    train images.

    Loading reads every file once, so that unusable files are reported before training. Training
    reads them again, batch by batch; the images need not fit in memory.

    Supported formats are PNG, JPEG, BMP, GIF (the first frame), TIFF and WEBP (a single image).
    Images are rotated by their EXIF orientation. Of 16-bit channels the upper 8 bits are used;
    depths other than 1 to 8 and 16 bits are refused, and so are 16-bit images that are almost
    black, since they may hold unscaled 12-bit values. Color profiles, hidden files and hidden
    folders are ignored. Resizing is bilinear with antialiasing (Pillow's BILINEAR). `evaluate` and
    `predict` prepare files in the same way.

    Args:
        path: Path of the folder.
        batch_size: Examples per training step.
        image_size: `[height, width]` in pixels to resize to; null: all files have the same size.
        channels: 1 (gray) or 3 (RGB), to convert to; null: all files are like the first one.
        background: Color behind transparency: `white`, `black`, [r,g,b] of 0 to 255; null: refuse.
        on_error: `error` reports the first unusable file, `skip` leaves such files out.
        duplicates: `keep`, or `drop` to drop images whose pixels and class repeat those of another.
        split_seed: Seed for drawing the splits that are not given.
        split: Shares of train, validation and test, for the splits that are not given; sum 1.
        standardize: Whether the model standardizes each channel by the train split.
        augment: Random changes of training images, see `Augmentation`.
        preparation: The preparation that a trained model recorded, to load other images for that
            model; `image_size`, `channels` and `background` must then agree with it, or be null.
    """

    path: str
    batch_size: int
    image_size: Sequence[int] | None = None
    channels: int | None = None
    background: str | Sequence[int] | None = None
    on_error: str = "error"
    duplicates: Literal["keep", "drop"] = "keep"
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    standardize: bool = False
    augment: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] | None = None
    task: Task = "classification"

    def load(self) -> Dataset:
        """Finds the files, reads each of them once, and splits them.

        Raises:
            UserError: If the folder has another layout, or a file or an option is not usable.
        """
        return self._load(list_folder(self.path), is_split=True)

    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Finds the files and reads each of them once; given splits are joined.

        Args:
            class_names: The classes of the trained model; not all of them need a folder.
        """
        source = replace(self, batch_size=1, augment={})
        return source._load(list_folder(self.path, tuple(class_names)), is_split=False)

    def _load(self, found: Listing, *, is_split: bool) -> Dataset:
        augmentation = Augmentation.parse(self.augment)
        self._check_options()
        # The form may come from the first usable file; then all files are checked against it.
        with pillow_warnings():
            form = self._find_form(found)
            checked = check_files(
                found, form, is_strict=self.on_error == "error", needs_sums=self.standardize
            )
        listing = found.take(np.flatnonzero(checked.is_usable))
        if is_split:
            self._check_rest(found, listing)
        kept = self._find_kept(listing, checked)
        indices = self._draw_splits(listing, kept) if is_split else [kept] * 3
        images = ImageFiles(
            folder=str(listing.folder),
            names=listing.names,
            indices=np.arange(len(listing.names)),
            preparation=form,
            digest=checked.digest.hex(),
            is_native=checked.is_native,
            pixel_keys=checked.keys,
        )
        # All splits share one list of names, of which each keeps its indices.
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
            preparation=form.to_mapping(),
            notes=(
                *_notes(checked, len(listing.names) - len(kept)),
                *(unused_note(self.split) if is_split and _has_all_splits(listing) else ()),
            ),
        )

    def _check_options(self) -> None:
        Shares.parse(self.split)
        size = self.image_size
        # The text '32' is a sequence of length two as well.
        if size is not None:
            is_list = isinstance(size, Sequence) and not isinstance(size, str)
            if not is_list or len(size) != 2 or not all(map(is_count, size)):
                raise UserError(
                    f"data.image_size={size}: expected [height, width] in pixels, or null."
                )
        if isinstance(self.channels, bool) or self.channels not in (None, 1, 3):
            raise UserError(
                f"data.channels={self.channels}: expected 1 (gray), 3 (colors) or null."
            )
        parse_background(self.background)
        check_choice("on_error", self.on_error, ("error", "skip"))
        check_choice("duplicates", self.duplicates, ("keep", "drop"))

    def _restore_form(self, preparation: Mapping[str, Any]) -> ImagePreparation:
        """Returns the trained model's preparation; options may only let it accept more files.

        Raises:
            UserError: If an option contradicts the preparation.
        """
        form = ImagePreparation.from_mapping(preparation)
        background = parse_background(self.background)
        size = None if self.image_size is None else list(self.image_size)
        given = {"image_size": size, "channels": self.channels, "background": background}
        known: dict[str, Any] = {
            "image_size": [form.height, form.width],
            "channels": form.channels,
            "background": form.background or background,
        }
        # An option that repeats the recorded value is no error: the same command line should work
        # for training and evaluation.
        for key, value in given.items():
            if value is not None and value != known[key]:
                raise UserError(
                    f"data.{key}={getattr(self, key)}: the model was trained with "
                    f"{_format_value(known[key])}; expected the same, or null."
                )
        return replace(
            form,
            can_resize=form.can_resize or size is not None,
            can_recolour=form.can_recolour or self.channels is not None,
            background=known["background"],
        )

    def _find_form(self, listing: "Listing") -> ImagePreparation:
        """Returns the preparation; size and channels that are not given are the first file's.

        Raises:
            UserError: If the first file can't be decoded, or none can with `on_error: skip`.
        """
        if self.preparation is not None:
            return self._restore_form(self.preparation)
        background = parse_background(self.background)
        for name in listing.names.tolist():
            try:
                first = decode_image(read_content(listing.folder, name), background)
            except UnusableError as error:
                if self.on_error == "error":
                    raise refusal(listing.folder, name, error) from error
                continue
            width, height = first.image.size
            if self.image_size is not None:
                height, width = self.image_size
            return ImagePreparation(
                height,
                width,
                self.channels or first.channels,
                can_resize=self.image_size is not None,
                can_recolour=self.channels is not None,
                background=background,
            )
        raise UserError(f"data.path={self.path}: none of the files there can be decoded.")

    def _check_rest(self, found: "Listing", usable: "Listing") -> None:
        """Checks that skipping unusable files left images in every class and every split."""
        labels = usable.labels[usable.parts == TRAIN]
        counts = np.bincount(labels, minlength=len(usable.class_names))
        # Each class needs training images; validation and test may lack some, as given splits may.
        if not counts.all():
            raise UserError(
                f"data.path={self.path}: no file of the class "
                f"{usable.class_names[counts.argmin()]!r} can be used for training; "
                "data.on_error=error reports why."
            )
        if len(np.unique(usable.parts)) < len(np.unique(found.parts)):
            raise UserError(
                f"data.path={self.path}: no file of the val or the test folder can be used; "
                "data.on_error=error reports why."
            )

    def _find_kept(self, listing: "Listing", checked: CheckedFiles) -> NDArray[np.intp]:
        """Returns the indices of the usable files to keep, without duplicates if so configured."""
        if self.duplicates == "keep":
            return np.arange(len(listing.names))
        # The split is part of the key, so that a given split never loses an image to another.
        rows = np.column_stack(
            [checked.keys, listing.labels.astype(np.uint64), listing.parts.astype(np.uint64)]
        )
        _, first = np.unique(rows, axis=0, return_index=True)
        return np.sort(first)

    def _draw_splits(self, listing: "Listing", kept: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Returns the indices of each split; splits without a folder are drawn from train."""
        given = [kept[listing.parts[kept] == part] for part in range(3)]
        train = given[TRAIN]
        # Shares are of the train images, also where one of the two other splits has a folder.
        if all(len(indices) for indices in given):
            return given
        names = np.asarray(listing.class_names)  # names, not labels, for the message of an error
        with error_context(f"data.path={self.path}: "):
            labels = names[listing.labels[train]]
            drawn = split_indices(len(train), self.split_seed, labels, Shares.parse(self.split))
        held_out = [part for part in (VALIDATION, TEST) if not len(given[part])]
        # Sorted: the examples of a split are in the order of their files' names.
        for part in held_out:
            given[part] = np.sort(train[drawn[part]])
        given[TRAIN] = np.setdiff1d(train, np.concatenate([given[part] for part in held_out]))
        return given


def _has_all_splits(listing: "Listing") -> bool:
    """Whether all three splits have a folder."""
    return len(np.unique(listing.parts)) == 3


def _notes(checked: CheckedFiles, num_dropped: int) -> tuple[str, ...]:
    """Returns notes on unusable files and dropped duplicates."""
    notes = []
    if count := int((~checked.is_usable).sum()):
        more = ", …" if count > len(checked.faults) else ""
        named = f"{', '.join(checked.faults)}{more}"
        notes.append(f"{count} file(s) can't be used and are left out: {named}.")
    if num_dropped:
        notes.append(f"{num_dropped:,} duplicates of other images were dropped.")
    return tuple(notes)


def _format_value(value: object) -> str:
    """Formats an option's value as a user writes it in an override, without spaces."""
    return str(list(value) if isinstance(value, tuple) else value).replace(" ", "")
