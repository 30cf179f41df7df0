"""Data sets of the user's own tables: CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError, hint
from expt.parts.data.dataset import Dataset, Scale, Split, Task
from expt.parts.data.encoding import MISSING, Column, Encoder, numbers, read_table
from expt.parts.data.reading import NO_CLASSES, check_choice, located, told_of
from expt.parts.data.splitting import split_indices

if TYPE_CHECKING:
    import pandas as pd

_MOST_CATEGORIES = 100
_MOST_CLASSES_OF_NUMBERS = 20
_FEWEST_OF_A_CLASS = 4
_MOSTLY = 0.9


@dataclass(frozen=True, kw_only=True)
class Csv:
    """A CSV file with a header, in UTF-8: a column of targets, the others inputs.

    Columns of numbers are inputs as they are; columns of text become one-hot vectors of the
    values that the train split has, in alphabetical order, and a value first met later is a vector
    of zeros. Rows are split into 70 % train, 15 % validation and 15 % test, each with its share of
    each class.

    Attributes:
        path: The file.
        target: The column of targets.
        batch_size: Examples a step.
        task: None infers it: text, or a few different whole numbers, are classes; other numbers
            are values.
        split_seed: Seed of the split.
        separator: What stands between values.
        ignore: Columns that are left out.
        categorical: Columns of numbers that are taken as text.
        weight: A column that says how much each row counts in the loss; 0 masks it.
        missing: What becomes of missing values: `error` tells where they are, `drop` leaves their
            rows out, `impute` takes the train split's mean of a number, and a text's absence for
            a category of its own.
        standardize: Whether the model standardises inputs that are numbers.
        standardize_targets: Whether the loss of a regression sees targets standardised.
        preparation: How a model's own table was encoded, where another is loaded for that model;
            its other columns are ignored. None fits the encoding to the train split.
    """

    path: str
    target: str
    batch_size: int
    task: Task | None = None
    split_seed: int = 0
    separator: str = ","
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    weight: str | None = None
    missing: Literal["error", "drop", "impute"] = "error"
    standardize: bool = True
    standardize_targets: bool = True
    preparation: Mapping[str, Any] | None = None

    def load(self) -> Dataset:
        """Reads the table, checks it, splits it and encodes it."""
        check_choice("task", self.task, (None, *get_args(Task)))
        check_choice("missing", self.missing, ("error", "drop", "impute"))
        path = located(self.path)
        with told_of(f"data.path={self.path}: "):
            table = read_table(path, self.separator)
            known = None if self.preparation is None else Encoder.from_mapping(self.preparation)
            features = self._features(list(table.columns), known)
            table, skipped = self._without_missing(table, features)
            task, targets, class_names = _targets(table[str(self.target)], self.task)
            stratify = np.asarray(class_names)[targets] if task == "classification" else None
            with told_of(advice="" if stratify is None or self.task else NO_CLASSES):
                train, validation, test = split_indices(len(table), self.split_seed, stratify)
            encoder = known or self._encoder(table, features, train)
            inputs = encoder.transform(table)
            whole = Split(inputs, targets, self._weights(table))
        standardize_targets = task == "regression" and self.standardize_targets
        return Dataset(
            name="csv",
            task=task,
            train=whole.take(train),
            validation=whole.take(validation),
            test=whole.take(test),
            batch_size=self.batch_size,
            class_names=class_names,
            input_scale=_scale(inputs[train], encoder) if self.standardize else None,
            target_scale=Scale.fit(targets[train]) if standardize_targets else None,
            skipped=skipped,
            preparation=encoder.to_mapping(),
        )

    def _features(self, names: Sequence[str], known: Encoder | None) -> list[str]:
        """Returns the columns that become inputs."""
        apart = self._apart(names)
        if known is not None:
            return [column.name for column in known.columns if column.name in names]
        features = [name for name in names if name not in apart]
        if not features:
            raise UserError("no column is left for the inputs; shorten data.ignore.")
        if "" in features:
            raise UserError(
                f"column {names.index('') + 1} has no name in the header, as an index that pandas "
                "wrote; name it, or leave it out: data.ignore=['']."
            )
        return features

    def _apart(self, names: Sequence[str]) -> list[str]:
        """Returns the columns that are no inputs, once all that the options name are there."""
        if len(names) == 1:
            raise UserError(
                f"the header has one column, {names[0]!r}; expected several. Is "
                f"data.separator={self.separator!r} right?"
            )
        for key, given in (("ignore", self.ignore), ("categorical", self.categorical)):
            if isinstance(given, str) or not isinstance(given, Sequence):
                raise UserError(f"data.{key}={given}: expected a list, such as [{names[0]}].")
        asked = {
            "target": [self.target],
            "weight": [self.weight] if self.weight else [],
            "ignore": self.ignore,
            "categorical": self.categorical,
        }
        for key, given in asked.items():
            for name in map(str, given):
                if name not in names:
                    raise UserError(
                        f"data.{key}={name}: there is no such column. {hint(name, names)}"
                    )
        apart = [str(name) for key in ("target", "weight", "ignore") for name in asked[key]]
        twice = next((name for name in apart if apart.count(name) > 1), None)
        if twice is not None:
            raise UserError(
                f"data.target={self.target}, data.weight={self.weight}, data.ignore="
                f"{list(self.ignore)}: {twice!r} stands there twice; expected it in one place."
            )
        return apart

    def _without_missing(
        self, table: "pd.DataFrame", features: Sequence[str]
    ) -> tuple["pd.DataFrame", int]:
        """Returns the table in which nothing is missing that may not be, and the rows dropped."""
        needed = [str(self.target), *([str(self.weight)] if self.weight else [])]
        if self.missing != "impute":
            needed = [*features, *needed]
        blank = table[needed] == ""
        rows = blank.any(axis=1)
        if not rows.any():
            return table, 0
        if self.missing == "drop" and not rows.all():
            return table[~rows], int(rows.sum())
        counts = ", ".join(f"{name!r} {count}" for name, count in blank.sum().items() if count)
        raise UserError(
            f"{int(rows.sum())} of {len(rows)} rows lack values, the first on line "
            f"{table.index[rows][0]}; missing by column: {counts}. Empty values and "
            f"{', '.join(filter(None, MISSING))} count as missing. data.missing=drop leaves such "
            "rows out, data.missing=impute fills inputs in (not targets or weights), and "
            "data.ignore=[…] leaves columns out."
        )

    def _weights(self, table: "pd.DataFrame") -> NDArray[np.float32] | None:
        if not self.weight:
            return None
        values = numbers(table[str(self.weight)])
        if (values < 0).any():
            line, value = values.index[values < 0][0], values[values < 0].iloc[0]
            raise UserError(
                f"data.weight={self.weight}: line {line} has {value:g}; expected at least 0."
            )
        return values.to_numpy(np.float32)

    def _encoder(
        self, table: "pd.DataFrame", features: Sequence[str], train: NDArray[np.intp]
    ) -> Encoder:
        """Fits the columns' encoding to the train split."""
        categorical = {str(name) for name in self.categorical}
        columns = [
            self._column(table[name], train, is_text=name in categorical) for name in features
        ]
        return Encoder(tuple(columns), self.separator, self.missing == "impute")

    def _column(self, texts: "pd.Series[str]", train: NDArray[np.intp], *, is_text: bool) -> Column:
        name, present = str(texts.name), texts[texts != ""]
        trained = texts.iloc[train]
        if (trained == "").all():
            raise UserError(
                f"{name!r} has no value in the train split; leave it out: data.ignore=[{name}]."
            )
        advice = (
            f" Mend it, or leave the column out: data.ignore=[{name}]; if its values are names: "
            f"data.categorical=[{name}]."
        )
        with told_of(advice=advice):
            if not is_text and _are_numbers(present):
                values = numbers(texts)
                fill = float(values.iloc[train].mean())
                return Column(name, fill=fill if self.missing == "impute" else None)
        num_values = present.nunique()
        if num_values > _MOST_CATEGORIES or num_values > len(texts) / 2:
            raise UserError(
                f"{name!r} has {num_values} different texts in {len(texts)} rows; expected at most "
                f"{_MOST_CATEGORIES}, and at most half as many as rows, since each becomes an "
                f"input. Leave the column out, data.ignore=[{name}], or group its values."
            )
        return Column(name, categories=tuple(sorted(set(trained))))


def _are_numbers(texts: "pd.Series[str]") -> bool:
    """Whether a column is of numbers; if most are, one that is not is a mistake."""
    import pandas as pd

    share = pd.to_numeric(texts, errors="coerce").notna().mean()
    if _MOSTLY <= share < 1:
        numbers(texts)
    return bool(share == 1)


def _targets(
    texts: "pd.Series[str]", task: Task | None
) -> tuple[Task, NDArray[Any], tuple[str, ...]]:
    """Returns the task, the targets, and the classes' names in the order of their numbers."""
    import pandas as pd

    if task is None:
        with told_of(advice=" If its values are names of classes: data.task=classification."):
            task = _inferred_task(texts)
    if task == "regression":
        return task, numbers(texts).to_numpy(np.float32)[:, None], ()
    values: Any = texts.astype(object)
    if pd.to_numeric(texts, errors="coerce").notna().all():
        values = numbers(texts)
        if (values % 1 != 0).any():
            raise UserError(
                f"data.target={texts.name} has {values[values % 1 != 0].iloc[0]:g}; expected names "
                "or whole numbers for classes. For values: data.task=regression."
            )
        values = values.astype(np.int64)
    classes, codes = np.unique(values.to_numpy(), return_inverse=True)
    if len(classes) < 2:
        raise UserError(
            f"data.target={texts.name} is {classes[0]} on every row; expected at least two classes."
        )
    return task, codes.astype(np.int32), tuple(map(str, classes))


def _inferred_task(texts: "pd.Series[str]") -> Task:
    if not _are_numbers(texts):
        return "classification"
    values = numbers(texts)
    most = min(_MOST_CLASSES_OF_NUMBERS, len(values) // _FEWEST_OF_A_CLASS)
    is_classes = (values % 1 == 0).all() and values.nunique() <= most
    return "classification" if is_classes else "regression"


def _scale(inputs: NDArray[np.float32], encoder: Encoder) -> Scale:
    """Fits a scale that changes numbers alone."""
    fitted, are_numbers = Scale.fit(inputs), encoder.are_numbers
    return Scale(
        np.where(are_numbers, fitted.mean, 0.0),
        np.where(are_numbers, fitted.deviation, 1.0),
    )
