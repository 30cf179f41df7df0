"""The source `tfds`: data sets that TensorFlow Datasets has prepared on this machine."""

import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.joined import concatenate_splits
from expt.parts.data.preparation import ArrayPreparation, Summary, exact_float32
from expt.parts.data.reading import error_context
from expt.parts.data.scale import Scale
from expt.parts.data.splitting import DEFAULT_SPLIT, Shares, split_indices, unused_note

_NAME = re.compile(r"(?P<name>[a-z]\w*)(/(?P<config>\w[\w.-]*))?(:(?P<version>\d[\w.]*))?")
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class TFDS:
    """A data set of TensorFlow Datasets, for classification or regression.

    The files must have been prepared with the package's command `tfds build`; nothing is downloaded
    here, and no code of a data set is run. The package is an extra: `pip install 'expt[tfds]'`.

    The splits train, validation and test are used; if one of the latter two is missing, its share
    is drawn from the train examples. Images are scaled to pixels from 0 to 1 and must all have the
    same size. All examples are read into memory.

    Args:
        name: `mnist`, `name/config`, `name:version` or both; without a version, the newest.
        batch_size: Examples per training step.
        data_dir: Path of the folder in which `tfds build --data_dir` prepared the data set.
        split_seed: Seed for drawing the splits that are not given.
        split: Shares of train, validation and test, for the splits that are not given; sum 1.
        standardize: Whether the model standardizes its inputs; null: all inputs but images.
        standardize_targets: Whether a regression's loss is computed on standardized targets.
        augment: Random changes of training images, see `Augmentation`.
    """

    name: str
    batch_size: int
    data_dir: str = "data/tfds"
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    standardize: bool | None = None
    standardize_targets: bool = True
    augment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> None:
        """None: the task is known only after loading, from the features of the data set."""

    def load(self) -> Dataset:
        """Reads the prepared files and draws the missing splits.

        Raises:
            UserError: If the package or the data set is missing, or its features don't fit.
        """
        return self._load(is_split=True)

    def load_whole(self, _class_names: Sequence[str], /) -> Dataset:
        """Reads the prepared files and joins all splits. The classes are those of the data set."""
        return replace(self, batch_size=1, augment={})._load(is_split=False)

    def _load(self, *, is_split: bool) -> Dataset:
        augmentation, shares = Augmentation.parse(self.augment), Shares.parse(self.split)
        # Imported on loading only: it is an optional extra, and imports TensorFlow.
        try:
            tfds: Any = importlib.import_module("tensorflow_datasets")
        except ImportError as error:
            raise UserError(
                "data=tfds needs the package tensorflow_datasets: pip install 'expt[tfds]' "
                f"({error})."
            ) from error
        folder = _find(self.name, self.data_dir)
        _check_features(folder)
        try:
            builder = tfds.builder_from_directory(folder)
        except Exception as error:  # the package documents no types of its errors
            raise UserError(f"data.name={self.name}: {folder} can't be read: {error}") from error
        class_names = _class_names(tfds, builder, self.name)
        feature = _features(builder)[0]
        has_images = isinstance(feature, tfds.features.Image)
        splits = self._read(tfds, builder, class_names, has_images=has_images)
        notes = unused_note(self.split) if is_split and len(splits) == len(_PARTS) else ()
        if is_split:
            splits = self._split(splits, shares)
        else:
            splits = dict.fromkeys(_PARTS, concatenate_splits(list(splits.values())))
        train = splits["train"]
        standardize = not has_images if self.standardize is None else self.standardize
        is_scaled = not class_names and self.standardize_targets
        return Dataset(
            name="tfds",
            task="classification" if class_names else "regression",
            train=train,
            validation=splits["validation"],
            test=splits["test"],
            batch_size=self.batch_size,
            class_names=class_names,
            input_scale=Scale.fit(np.asarray(train.inputs)) if standardize else None,
            target_scale=Scale.fit(train.targets) if is_scaled else None,
            augmentation=augmentation,
            preparation=_preparation(np.dtype(feature.np_dtype), train, has_images=has_images),
            notes=notes,
        )

    def _read(
        self, tfds: Any, builder: Any, class_names: tuple[str, ...], *, has_images: bool
    ) -> dict[str, Split]:
        """Reads the splits that exist, each in the order of its files."""
        given = {name: info.num_examples for name, info in builder.info.splits.items()}
        if not given.get("train"):
            raise UserError(
                f"data.name={self.name} has the splits {', '.join(given) or 'none'}; expected "
                "train, and perhaps validation and test."
            )
        splits = {}
        for part in _PARTS:
            if not given.get(part):
                continue
            # Without shuffling and interleaving, so that the order of examples never changes.
            try:
                inputs, targets = tfds.as_numpy(
                    builder.as_dataset(
                        split=part,
                        batch_size=-1,
                        shuffle_files=False,
                        as_supervised=True,
                        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
                    )
                )
            except Exception as error:  # the package documents no types of its errors
                raise UserError(
                    f"data.name={self.name}: the {part} split can't be read from "
                    f"{builder.data_path}: {error}"
                ) from error
            splits[part] = Split(
                _inputs(inputs, self.name, has_images=has_images),
                targets.astype(np.int32) if class_names else _values(targets, self.name),
            )
        return splits

    def _split(self, splits: dict[str, Split], shares: Shares) -> dict[str, Split]:
        """Draws missing splits from the train split."""
        missing = [part for part in _PARTS if part not in splits]
        if not missing:
            return splits
        train = splits["train"]
        labels = train.targets if train.targets.ndim == 1 else None
        with error_context(f"data.name={self.name}: "):
            indices = split_indices(len(train), self.split_seed, labels, shares)
        drawn = {part: np.sort(indices[_PARTS.index(part)]) for part in missing}
        rest = np.setdiff1d(np.arange(len(train)), np.concatenate(list(drawn.values())))
        taken = {part: train.take(chosen) for part, chosen in drawn.items()}
        return {**splits, **taken, "train": train.take(rest)}


def _find(name: str, data_dir: str) -> Path:
    """Returns the folder of the newest prepared version that matches the name."""
    match = _NAME.fullmatch(str(name))
    if match is None:
        raise UserError(
            f"data.name={name}: expected the name of a data set: mnist, name/config, name:version "
            "or name/config:version."
        )
    wanted, config, version = match["name"], match["config"], match["version"]
    root = Path(os.path.expanduser(str(data_dir))).absolute()  # noqa: PTH111  never raises
    found = [file.parent for depth in ("*", "*/*") for file in _infos(root / wanted, depth)]
    configs = {"/".join(folder.relative_to(root / wanted).parts[:-1]) for folder in found}
    if not found:
        raise UserError(
            f"data.name={name}: it is not in data.data_dir={data_dir}, which has "
            f"{', '.join(_names(root)) or 'no data sets'}. Nothing is downloaded here. To prepare "
            f"it once: tfds build {wanted} --data_dir={data_dir}"
        )
    if config is None and len(configs) > 1 and "" not in configs:
        raise UserError(
            f"data.name={name}: it has the configs {', '.join(sorted(configs))}; choose one with "
            f"data.name={wanted}/{min(configs)}."
        )
    # An empty config: data sets without configs lie directly in NAME/VERSION.
    config = config or ("" if "" in configs else min(configs))
    fitting = [folder for folder in found if folder.parent == root / wanted / config]
    fitting = [folder for folder in fitting if version in (None, folder.name)]
    if not fitting:
        there = sorted(str(folder.relative_to(root)) for folder in found)
        raise UserError(
            f"data.name={name}: there is no such config or version; data.data_dir={data_dir} has "
            f"{', '.join(there)}."
        )
    # By number: as a text, 10.0.0 is before 9.0.0.
    return max(fitting, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)])


def _infos(folder: Path, depth: str) -> list[Path]:
    return sorted(folder.glob(f"{depth}/dataset_info.json"))


def _names(root: Path) -> list[str]:
    return sorted({file.relative_to(root).parts[0] for file in root.glob("**/dataset_info.json")})


def _check_features(folder: Path) -> None:
    """Checks that features.json names classes of the package only.

    TensorFlow Datasets imports the modules that the file names, which would run foreign code.
    """
    file = folder / "features.json"
    try:
        classes = list(_python_classes(json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} can't be read: {error}") from error
    foreign = [name for name in classes if not str(name).startswith("tensorflow_datasets.")]
    if foreign:
        raise UserError(
            f"{file} names foreign code, {foreign[0]}; expected features of tensorflow_datasets "
            "only."
        )


def _python_classes(node: object) -> Iterator[object]:
    if isinstance(node, Mapping):
        # The names of the keys changed between versions of the package.
        for key, value in node.items():
            if key in ("pythonClassName", "python_class_name", "type") and not isinstance(
                value, Mapping
            ):
                yield value
            yield from _python_classes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _python_classes(value)


def _features(builder: Any) -> tuple[Any, Any]:
    """Returns the feature of the inputs and that of the targets."""
    keys = builder.info.supervised_keys
    return builder.info.features[keys[0]], builder.info.features[keys[1]]


def _class_names(tfds: Any, builder: Any, name: str) -> tuple[str, ...]:
    """Checks the features and returns the class names, or () for a regression."""
    keys = builder.info.supervised_keys
    is_pair = keys is not None and len(keys) == 2 and all(isinstance(key, str) for key in keys)
    if not is_pair:
        raise UserError(
            f"data.name={name}: it does not declare which features are input and target "
            f"(supervised_keys={keys}); expected a data set for supervised learning."
        )
    inputs, targets = _features(builder)
    for what, feature in (("inputs", inputs), ("targets", targets)):
        shape = feature.shape
        if not isinstance(shape, tuple) or None in shape:
            raise UserError(
                f"data.name={name}: its {what} have the shape {shape}; expected examples of the "
                "same size."
            )
    if isinstance(targets, tfds.features.ClassLabel) and targets.num_classes:
        return tuple(targets.names)
    return ()


def _inputs(values: Any, name: str, *, has_images: bool) -> NDArray[np.floating[Any]]:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise UserError(
            f"data.name={name}: its inputs are of the type {getattr(values, 'dtype', '?')}; "
            "expected images or numbers."
        )
    if has_images and values.dtype.kind == "u":
        return np.divide(values, np.float32(np.iinfo(values.dtype).max), dtype=np.float32)
    # A scalar feature becomes one column, so that inputs always have an axis of features.
    return exact_float32(np.reshape(values, (len(values), *(values.shape[1:] or (1,)))))


def _preparation(dtype: np.dtype[Any], train: Split, *, has_images: bool) -> dict[str, Any]:
    """Returns the recorded conversion of raw values of a dtype to the train split's inputs."""
    if has_images and dtype.kind == "u":
        # The range of the dtype, not of the images: the divisor must not depend on the examples.
        top = float(np.iinfo(dtype).max)
        return ArrayPreparation(top, Summary(dtype.name, 0.0, top, is_whole=True)).to_mapping()
    inputs = np.asarray(train.inputs)
    return ArrayPreparation(1.0, replace(Summary.of([inputs]), dtype=dtype.name)).to_mapping()


def _values(targets: Any, name: str) -> NDArray[np.float64]:
    if not isinstance(targets, np.ndarray) or targets.dtype.kind != "f":
        raise UserError(
            f"data.name={name}: its targets are of the type {getattr(targets, 'dtype', '?')}; "
            "expected class labels (with their number known) or values of a float type."
        )
    return targets.reshape(len(targets), -1).astype(np.float64)
