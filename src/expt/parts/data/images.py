"""Images in folders named after their classes, read from disk as training needs them."""

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
from expt.parts.data.reading import check_choice, told_of
from expt.parts.data.splitting import USUAL_SPLIT, Shares, split_indices, unused_note
from expt.parts.numbers import is_count


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images in folders named after their classes.

    The folder holds either one folder a class, which are split into train, validation and test
    with each class's share in each, or the folders `train`, `val` (or `validation`) and `test`,
    which hold one folder a class; where one of the latter two is missing, its share is taken from
    the train images.

    All files are read once while loading: whatever is wrong with one is reported before training.
    Training reads them again, batch by batch, so that the images need not fit in memory.

    PNG, JPEG, BMP, GIF (the first frame), TIFF and WEBP (of one image) are read, and turned as
    their orientation in EXIF says. Of 16 bits a channel the upper 8 are taken; images of other
    depths than 1 to 8 or 16 bits are refused, and so are those of 16 bits that are all but black,
    since they may hold unscaled values of 12 bits. Colour profiles are ignored. Hidden files and
    folders are ignored, too. `evaluate` and `predict` prepare files as training did.

    Attributes:
        path: The folder.
        batch_size: Examples a step.
        image_size: Height and width that all images are resized to: bilinearly, averaging over
            what a pixel shrinks (Pillow's BILINEAR). None expects the same size of all files.
        channels: 1 for gray, 3 for colours; None takes it from the first file and expects the
            same of all.
        background: What is behind transparent pixels: `white`, `black`, or red, green and blue
            from 0 to 255. None refuses files that have any.
        on_error: What happens to files that can't be used: `error` reports the first, `skip`
            leaves them out.
        duplicates: `keep`, or `drop` leaves out images whose pixels and class occur before; with
            given splits, within each.
        split_seed: Seed of the splits that are not given.
        split: The shares of train, validation and test, as far as they are not given.
        standardize: Whether the model standardises each channel by the train images.
        augment: How training images are changed at random, see `Augmentation`.
        preparation: How a model's own images were prepared, where others are loaded for that
            model; the options that say so must then agree, or be None.
    """

    path: str
    batch_size: int
    image_size: Sequence[int] | None = None
    channels: int | None = None
    background: str | Sequence[int] | None = None
    on_error: str = "error"
    duplicates: Literal["keep", "drop"] = "keep"
    split_seed: int = 0
    split: Sequence[float] = USUAL_SPLIT
    standardize: bool = False
    augment: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] | None = None
    task: Task = "classification"

    def load(self) -> Dataset:
        """Finds the files, reads each once, and splits them."""
        return self._load(list_folder(self.path), is_split=True)

    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Finds the files and reads each once; those of given splits become one.

        Args:
            class_names: Those that the model knows; not all of them need a folder.
        """
        source = replace(self, batch_size=1, augment={})
        return source._load(list_folder(self.path, tuple(class_names)), is_split=False)

    def _load(self, found: Listing, *, is_split: bool) -> Dataset:
        augmentation = Augmentation.parse(self.augment)
        self._check_options()
        with pillow_warnings():
            form = self._find_form(found)
            checked = check_files(
                found, form, is_strict=self.on_error == "error", needs_sums=self.standardize
            )
        listing = found.take(np.flatnonzero(checked.is_usable))
        if is_split:
            self._check_rest(found, listing)
        kept = self._kept(listing, checked)
        indices = self._split(listing, kept) if is_split else [kept] * 3
        images = ImageFiles(
            folder=str(listing.folder),
            names=listing.names,
            indices=np.arange(len(listing.names)),
            preparation=form,
            digest=checked.digest.hex(),
            is_native=checked.is_native,
            pixel_keys=checked.keys,
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
            preparation=form.to_mapping(),
            notes=(
                *_notes(checked, len(listing.names) - len(kept)),
                *(unused_note(self.split) if is_split and _is_given(listing) else ()),
            ),
        )

    def _check_options(self) -> None:
        Shares.parse(self.split)
        size = self.image_size
        if size is not None:
            is_list = isinstance(size, Sequence) and not isinstance(size, str)
            if not is_list or len(size) != 2 or not all(map(is_count, size)):
                raise UserError(
                    f"data.image_size={size}: expected [height, width] in pixels, or null."
                )
        if isinstance(self.channels, bool) or self.channels not in (None, 1, 3):
            raise UserError(
                f"data.channels={self.channels}: expected 1 (gray), 3 (colours) or null."
            )
        parse_background(self.background)
        check_choice("on_error", self.on_error, ("error", "skip"))
        check_choice("duplicates", self.duplicates, ("keep", "drop"))

    def _recorded_form(self, preparation: Mapping[str, Any]) -> ImagePreparation:
        """Returns the form of a model's own images; the options may only widen what it takes."""
        form = ImagePreparation.from_mapping(preparation)
        background = parse_background(self.background)
        size = None if self.image_size is None else list(self.image_size)
        given = {"image_size": size, "channels": self.channels, "background": background}
        known: dict[str, Any] = {
            "image_size": [form.height, form.width],
            "channels": form.channels,
            "background": form.background or background,
        }
        for key, value in given.items():
            if value is not None and value != known[key]:
                raise UserError(
                    f"data.{key}={getattr(self, key)}: the model was trained with "
                    f"{_written(known[key])}; expected the same, or null."
                )
        return replace(
            form,
            can_resize=form.can_resize or size is not None,
            can_recolour=form.can_recolour or self.channels is not None,
            background=known["background"],
        )

    def _find_form(self, listing: "Listing") -> ImagePreparation:
        """Takes what is not given from the first file that can be decoded."""
        if self.preparation is not None:
            return self._recorded_form(self.preparation)
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
        """Checks that no class and no split went away with the files that can't be used."""
        labels = usable.labels[usable.parts == TRAIN]
        counts = np.bincount(labels, minlength=len(usable.class_names))
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

    def _kept(self, listing: "Listing", checked: CheckedFiles) -> NDArray[np.intp]:
        """Returns which of the usable files take part."""
        if self.duplicates == "keep":
            return np.arange(len(listing.names))
        rows = np.column_stack(
            [checked.keys, listing.labels.astype(np.uint64), listing.parts.astype(np.uint64)]
        )
        _, first = np.unique(rows, axis=0, return_index=True)
        return np.sort(first)

    def _split(self, listing: "Listing", kept: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Returns the indices of each split; what has no folder comes from the train images."""
        given = [kept[listing.parts[kept] == part] for part in range(3)]
        train = given[TRAIN]
        if all(len(indices) for indices in given):
            return given
        names = np.asarray(listing.class_names)  # so that a message can name the class
        with told_of(f"data.path={self.path}: "):
            labels = names[listing.labels[train]]
            drawn = split_indices(len(train), self.split_seed, labels, Shares.parse(self.split))
        held_out = [part for part in (VALIDATION, TEST) if not len(given[part])]
        for part in held_out:
            given[part] = np.sort(train[drawn[part]])
        given[TRAIN] = np.setdiff1d(train, np.concatenate([given[part] for part in held_out]))
        return given


def _is_given(listing: "Listing") -> bool:
    """Whether each split has a folder."""
    return len(np.unique(listing.parts)) == 3


def _notes(checked: CheckedFiles, num_dropped: int) -> tuple[str, ...]:
    """Names what was left out."""
    notes = []
    if count := int((~checked.is_usable).sum()):
        more = ", …" if count > len(checked.faults) else ""
        named = f"{', '.join(checked.faults)}{more}"
        notes.append(f"{count} file(s) can't be used and are left out: {named}.")
    if num_dropped:
        notes.append(f"{num_dropped:,} duplicates of other images were dropped.")
    return tuple(notes)


def _written(value: object) -> str:
    """Returns an option's value as a user would write it."""
    return str(list(value) if isinstance(value, tuple) else value).replace(" ", "")
