"""The source `csv`: the user's own tables, in CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError, hint
from expt.parts.data.columns import check_indices, column_notes, fit_column
from expt.parts.data.csv_files import normalize_text, other_separator, read_table
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.encoding import Encoder
from expt.parts.data.labels import Targets, parse_known_targets, parse_targets
from expt.parts.data.masks import nonzero_weight_indices, zero_weight_notes
from expt.parts.data.missing import MissingValues
from expt.parts.data.number_formats import NumberFormat, check_format_options, parse_numbers
from expt.parts.data.reading import NO_CLASSES, check_choice, error_context, find_path, to_weights
from expt.parts.data.scale import Scale
from expt.parts.data.splitting import (
    DEFAULT_SPLIT,
    Indices,
    Shares,
    group_split_indices,
    split_indices,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Csv:
    """A CSV file with a header; one column is the target, the others are inputs.

    Columns of numbers are used unchanged. So are numbers with the same unit in every row (`52%`,
    `$5`, `5 €`, `5 kg`), dates (`2020-01-31`, as days since 1970-01-01 UTC) and times (`12:30`, as
    seconds). Columns of text that may or may not be numbers, and columns that number the rows
    (`id`, `Unnamed: 0`), are refused. Other text is one-hot encoded by the values in the train
    split, in alphabetical order; a value that occurs only in other splits is encoded as zeros and
    reported. White space around texts and different Unicode encodings of a character make no
    difference; case does. The file is in UTF-8, or has a byte order mark. Rows are split into
    train, validation and test, stratified by class.

    With `missing: impute`, a missing number becomes the train split's mean, and a missing text a
    separate category.

    Args:
        path: Path of the file.
        target: The column of targets; class names are its texts as written (`01` is not `1`).
        batch_size: Examples per training step.
        task: `classification`, `regression`, or null: text or few distinct integers are classes.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test; their sum is 1.
        separator: The character between values, such as `,`, `;` or a tab (written backslash, t).
        decimal: The decimal separator of numbers, `.` or `,`.
        thousands: The thousands separator: `,`, `.`, a space, `'`, or null for none.
        na_values: Texts that mean missing, besides the empty one; null: NA, null, none, ?, ….
        ignore: Columns to leave out, a list.
        categorical: Columns of numbers to one-hot encode, a list; `1.0` is the same as `1`.
        weight: Column of row weights in loss and metrics, at least 0; rows of 0 are left out.
        group: Column of groups; rows with the same value are in the same split.
        duplicates: `keep`, or `drop` to drop rows that repeat the inputs and target of another.
        missing: `error` refuses missing values, `drop` drops their rows, `impute` fills inputs in.
        standardize: Whether the model standardizes numeric inputs by the train split.
        standardize_targets: Whether a regression's loss is computed on standardized targets.
        preparation: The encoding that a trained model recorded, to load another table for that
            model, whose other columns are ignored; null fits it to the train split.
    """

    path: str
    target: str
    batch_size: int
    task: Task | None = None
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    separator: str = ","
    decimal: str = "."
    thousands: str | None = None
    na_values: Sequence[str] | None = None
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    weight: str | None = None
    group: str | None = None
    duplicates: Literal["keep", "drop"] = "keep"
    missing: Literal["error", "drop", "impute"] = "error"
    standardize: bool = True
    standardize_targets: bool = True
    preparation: Mapping[str, Any] | None = None

    def load(self) -> Dataset:
        """Reads, checks, splits and encodes the table.

        Raises:
            UserError: If the file or an option is not usable; the message names line and column.
        """
        return self._load((), is_split=True)

    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Reads and encodes the table without splitting it; the column of groups may be absent."""
        source = replace(self, batch_size=1, group=None)
        if self.preparation is not None:  # the recorded encoding names the inputs and their kind
            source = replace(source, ignore=(), categorical=())
        return source._load(class_names, is_split=False)

    def _load(self, class_names: Sequence[str], *, is_split: bool) -> Dataset:
        self._check_options()
        known = None if self.preparation is None else Encoder.from_mapping(self.preparation)
        path = find_path(self.path)
        with error_context(f"data.path={self.path}: "):
            rows = read_table(path, self.separator, self.na_values)
            features = self._features(list(rows.columns), known)
            categorical = self._columns_of("categorical")
            # On all rows: without those that are dropped, an index would have gaps.
            rising = [] if known else check_indices(rows, features, categorical)
            missing = self._find_missing(rows, features)
            table, duplicates = self._without_duplicates(rows[~missing.rows], features)
            with error_context(advice=missing.advice):
                targets = self._targets(table, known, class_names)
            notes = [*targets.notes, *duplicates, *rising]
            if num_missing := int(missing.rows.sum()):
                is_known, labels = known is not None, rows[self._target]
                notes.append(missing.dropped_note(labels, targets, is_known=is_known))
            weights = self._weights(table)
            splits = self._draw_splits(table, targets) if is_split else (np.arange(len(table)),) * 3
            # Rows of weight 0 may hold arbitrary values, so no column or scale is fitted to them.
            counted = [nonzero_weight_indices(weights, indices) for indices in splits]
            encoder = known or self._fit_encoder(table, features, counted[0], targets)
            if known is None:
                notes += column_notes(table, encoder, categorical)
            encoded = encoder.transform(table)
            whole = Split(encoded.inputs, targets.values, weights)
        train, validation, test = (whole.take(part) for part in counted)
        sizes = map(len, counted if is_split else counted[:1])
        standardize_targets = targets.task == "regression" and self.standardize_targets
        return Dataset(
            name="csv",
            task=targets.task,
            train=train,
            validation=validation,
            test=test,
            batch_size=self.batch_size,
            class_names=targets.class_names,
            input_scale=encoder.fit_scale(train.first(len(train))) if self.standardize else None,
            target_scale=Scale.fit(train.targets) if standardize_targets else None,
            skipped=num_missing,
            preparation=encoder.to_mapping(),
            feature_names=encoder.feature_names,
            other_columns=self._other_columns(),
            notes=(*notes, *encoded.notes, *zero_weight_notes(sizes, len(table))),
        )

    def _check_options(self) -> None:
        Shares.parse(self.split)
        check_choice("task", self.task, (None, *get_args(Task)))
        check_choice("missing", self.missing, ("error", "drop", "impute"))
        check_choice("duplicates", self.duplicates, ("keep", "drop"))
        check_format_options(self.decimal, self.thousands)
        values = self.na_values
        if values is not None and (isinstance(values, str) or not isinstance(values, Sequence)):
            raise UserError(f"data.na_values={values}: expected a list, such as ['NA'], or null.")

    @property
    def _target(self) -> str:
        return normalize_text(str(self.target))

    def _columns_of(self, key: str) -> list[str]:
        """Returns the normalized names of the columns that an option lists."""
        # An override such as data.ignore=1 arrives as a number.
        given = getattr(self, key)
        names = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
        return [normalize_text(str(name)) for name in names if name is not None]

    def _features(self, names: Sequence[str], known: Encoder | None) -> list[str]:
        """Returns the columns that become inputs."""
        # Also with a recorded encoding: it checks that the named columns exist.
        apart = self._non_features(names)
        if known is not None:
            return [column.name for column in known.columns if column.name in names]
        features = [name for name in names if name not in apart]
        if not features:
            raise UserError("no column is left for the inputs; shorten data.ignore.")
        if "" in features:
            raise UserError(
                f"column {names.index('') + 1} has no name in the header, like an index written by "
                "pandas; name it, or leave it out: data.ignore=['']."
            )
        return features

    def _non_features(self, names: Sequence[str]) -> list[str]:
        """Returns the columns that are not inputs, after checking that the named ones exist."""
        if len(names) == 1:
            raise UserError(
                f"the header has one column, {names[0]!r}; expected several. "
                f"{other_separator(names[0], self.separator)}"
            )
        if self.target is None:  # null, from a config or an override
            raise UserError(
                "data.target=null: expected a column, or \"data.target='null'\" for one of that "
                f"name. {hint('', names)}"
            )
        for key, given in (("ignore", self.ignore), ("categorical", self.categorical)):
            if isinstance(given, str) or not isinstance(given, Sequence):
                raise UserError(f"data.{key}={given}: expected a list, such as [{names[0]}].")
        for key in ("target", "weight", "group", "ignore", "categorical"):
            for name in self._columns_of(key):
                if name not in names:
                    raise UserError(
                        f"data.{key}={name}: there is no such column. {hint(name, names)}"
                    )
        apart = [
            name
            for key in ("target", "weight", "group", "ignore")
            for name in self._columns_of(key)
        ]
        twice = next((name for name in apart if apart.count(name) > 1), None)
        if twice is not None:
            raise UserError(
                f"data.target={self.target}, data.weight={self.weight}, data.group={self.group}, "
                f"data.ignore={list(self.ignore)}: {twice!r} is named twice; expected it only once."
            )
        return apart

    def _find_missing(self, table: "pd.DataFrame", features: Sequence[str]) -> MissingValues:
        """Finds the rows to drop for missing values.

        Raises:
            UserError: If there are such rows and `missing` is not `drop`, or no others are left.
        """
        needed = [self._target, *self._columns_of("weight"), *self._columns_of("group")]
        # Targets, weights and groups can't be imputed: any value would be a wrong claim.
        if self.missing != "impute":
            needed = [*features, *needed]
        missing = MissingValues.find(table, needed, self.na_values)
        if missing.rows.any() and (self.missing != "drop" or missing.rows.all()):
            missing.refuse()
        return missing

    def _other_columns(self) -> dict[str, str]:
        keys = ("target", "weight", "group")
        return {key: names[0] for key in keys if (names := self._columns_of(key))}

    def _targets(
        self, table: "pd.DataFrame", known: Encoder | None, class_names: Sequence[str]
    ) -> Targets:
        texts = table[self._target]
        if known is not None:
            return parse_known_targets(texts, known.class_names, known.target)
        if class_names:
            return parse_known_targets(texts, tuple(class_names), None)
        return parse_targets(texts, self.task, self.decimal, self.thousands)

    def _without_duplicates(
        self, table: "pd.DataFrame", features: Sequence[str]
    ) -> tuple["pd.DataFrame", list[str]]:
        if self.duplicates == "keep":
            return table, []
        # Compared as text, before the encoding is fitted, which needs the final rows.
        again = table.duplicated([*features, self._target])
        number = int(again.sum())
        note = f"{number:,} duplicates of other rows were dropped."
        return (table[~again], [note]) if number else (table, [])

    def _draw_splits(self, table: "pd.DataFrame", targets: Targets) -> Indices:
        """Draws the indices of each split."""
        is_inferred = targets.task == "classification" and self.task is None
        stratify, shares = None, Shares.parse(self.split)
        # Names, not labels, so that an error about a class can name it.
        if targets.task == "classification":
            stratify = np.asarray(targets.class_names, object)[targets.values]
        with error_context(advice=NO_CLASSES if is_inferred else ""):
            if self.group is None:
                return split_indices(len(table), self.split_seed, stratify, shares)
            # As text: groups are compared for equality only.
            groups = table[self._columns_of("group")[0]].to_numpy(object)
            return group_split_indices(groups, self.split_seed, stratify, shares)

    def _weights(self, table: "pd.DataFrame") -> NDArray[np.float32] | None:
        if not self.weight:
            return None
        texts = table[self._columns_of("weight")[0]]
        values = parse_numbers(texts, NumberFormat(decimal=self.decimal, thousands=self.thousands))
        if (values < 0).any():
            line, value = values.index[values < 0][0], values[values < 0].iloc[0]
            raise UserError(
                f"data.weight={self.weight}: line {line} has {value:g}; expected at least 0."
            )
        return to_weights(values.to_numpy(np.float64))

    def _fit_encoder(
        self,
        table: "pd.DataFrame",
        features: Sequence[str],
        train: NDArray[np.intp],
        targets: Targets,
    ) -> Encoder:
        """Fits the encoding of the columns to the train split."""
        categorical = set(self._columns_of("categorical"))
        impute = self.missing == "impute"
        columns = [
            fit_column(
                table[name],
                train,
                is_text=name in categorical,
                impute=impute,
                numbers_as=NumberFormat(decimal=self.decimal, thousands=self.thousands),
            )
            for name in features
        ]
        na_values = None if self.na_values is None else tuple(map(str, self.na_values))
        return Encoder(
            tuple(columns), self.separator, impute, na_values, targets.class_names, targets.number
        )
