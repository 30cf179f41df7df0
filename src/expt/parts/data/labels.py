"""The targets of a table: labels of classes, or values of a regression."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Task
from expt.parts.data.names import join_names, similar_names_note
from expt.parts.data.number_formats import (
    NumberFormat,
    check_exactness,
    parse_numbers,
    quote_shortened,
    to_canonical,
)
from expt.parts.data.number_recognition import find_format
from expt.parts.data.reading import error_context

if TYPE_CHECKING:
    import pandas as pd

_MOST_CLASSES_OF_NUMBERS = 20
_MIN_EXAMPLES_PER_CLASS = 4


@dataclass(frozen=True)
class Targets:
    """The targets of a table.

    Attributes:
        task: The task, given or inferred.
        values: Labels, int32 of shape [rows], or values, float64 of shape [rows, 1].
        class_names: The names of the classes, indexed by label; empty for a regression.
        number: The format of the values; None for classes.
        notes: Sentences for the user, such as on the inferred task.
    """

    task: Task
    values: NDArray[Any]
    class_names: tuple[str, ...] = ()
    number: NumberFormat | None = None
    notes: tuple[str, ...] = ()


def parse_targets(
    texts: "pd.Series[str]", task: Task | None, decimal: str = ".", thousands: str | None = None
) -> Targets:
    """Parses a column of targets without missing values.

    The name of a class is its text as written: `01` and `1` are two classes.

    Args:
        texts: The column.
        task: The task; None infers it.
        decimal: The decimal separator of numbers.
        thousands: The thousands separator of numbers; None if there is none.

    Raises:
        UserError: If the texts don't fit the task, or are ambiguous.
    """
    how, reasons = NumberFormat(decimal=decimal, thousands=thousands), []
    advice = "" if task else " If its values are names of classes: data.task=classification."
    if task != "classification":
        with error_context(advice=advice):
            found = find_format(texts, decimal, thousands)
        how = found or how
        if task is None:
            task, reason = _infer_task(texts, None if found is None else how.parse(texts))
            reasons.append(reason)
    # Labels come from the whole column, before the split, so that all splits share them.
    if task == "classification":
        class_names = _class_names(texts)
        alike = similar_names_note(class_names, "classes")
        notes = (*reasons, *([alike] if alike else []))
        return Targets(task, _to_labels(texts, class_names), class_names, None, notes)
    values = parse_numbers(texts, how)
    with error_context(advice=advice):
        check_exactness(texts, how)
    if how.describe():
        reasons.append(f"{texts.name!r} is read as {how.describe()}.")
    return Targets("regression", values.to_numpy()[:, None], (), how, tuple(reasons))


def parse_known_targets(
    texts: "pd.Series[str]", class_names: tuple[str, ...], number: NumberFormat | None
) -> Targets:
    """Parses a column of targets for a trained model.

    Args:
        texts: The column, without missing values.
        class_names: The classes of the model; empty for a regression.
        number: The number format of the training's targets.

    Raises:
        UserError: If a class is unknown, or a text can't be parsed as a value.
    """
    if class_names:
        return Targets("classification", _to_labels(texts, class_names), class_names)
    how = number or NumberFormat()
    return Targets("regression", parse_numbers(texts, how).to_numpy()[:, None], (), how)


def _infer_task(texts: "pd.Series[str]", values: NDArray[np.float64] | None) -> tuple[Task, str]:
    """Infers the task and returns it with a note on the reason.

    Args:
        texts: The column.
        values: Its numbers; None if the texts are not numbers.
    """
    name, num_different = repr(texts.name), texts.nunique()
    if values is None:
        return "classification", (
            f"task: classification, since {name} has texts that are not numbers "
            f"({num_different:,} different ones)."
        )
    # Few distinct integers, each in several rows: otherwise a count or an age would be a class.
    most = min(_MOST_CLASSES_OF_NUMBERS, len(values) // _MIN_EXAMPLES_PER_CLASS)
    if (values % 1 == 0).all() and num_different <= most:
        return "classification", (
            f"task: classification, since {name} has only {num_different} different whole "
            "numbers. If they are values: data.task=regression."
        )
    return "regression", (
        f"task: regression, since {name} has {num_different:,} different numbers. If they are "
        "names of classes: data.task=classification."
    )


def _class_names(texts: "pd.Series[str]") -> tuple[str, ...]:
    """Returns the distinct texts, sorted: by value if all are numbers, else alphabetically.

    Raises:
        UserError: If there are fewer than two, or they are too many fractions to be classes.
    """
    names = sorted(texts.unique())
    if len(names) < 2:
        raise UserError(
            f"data.target={texts.name} is "
            f"{quote_shortened(names[0])} in every row; expected at least "
            "two classes."
        )
    plain = NumberFormat()
    bare = [plain.bare(name) for name in names]
    if any(number is None for number in bare):
        return tuple(names)
    # Fractions are classes only if the config says so, and then such as versions or ratings.
    fractions = [name for name in names if not plain.value(name).is_integer()]
    if fractions and len(names) > len(texts) // _MIN_EXAMPLES_PER_CLASS:
        raise UserError(
            f"data.target={texts.name} has {len(names):,} different numbers, such as "
            f"{quote_shortened(fractions[0])}; expected several rows of each class. For values: "
            "data.task=regression."
        )
    # As Decimal, which orders numbers of any size exactly; equal ones are ordered as text.
    exact = {name: Decimal(number or 0) for name, number in zip(names, bare, strict=True)}
    return tuple(sorted(names, key=lambda name: (exact[name], name)))


def _to_labels(texts: "pd.Series[str]", class_names: tuple[str, ...]) -> NDArray[np.int32]:
    import pandas as pd

    index = pd.Index(class_names, dtype=object)
    codes = index.get_indexer(pd.Index(texts, dtype=object))
    if (codes < 0).any():
        by_number = {to_canonical(name): place for place, name in enumerate(class_names)}
        # 1.0 can only mean the class 1 if no two classes are the same number.
        if len(by_number) == len(class_names):
            found = [by_number.get(to_canonical(text), -1) for text in texts]
            codes = np.where(codes < 0, found, codes)
    if (codes < 0).any():
        unknown = sorted(set(texts[codes < 0]))
        raise UserError(
            f"{texts.name!r} has {int((codes < 0).sum()):,} labels that the model does not know: "
            f"{join_names([quote_shortened(text) for text in unknown], 5)}. It knows "
            f"{join_names([quote_shortened(name) for name in class_names])}."
        )
    return codes.astype(np.int32)
