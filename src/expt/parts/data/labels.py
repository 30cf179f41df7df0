"""The column of targets: classes as they are written, or values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Task
from expt.parts.data.number_formats import NumberFormat, canonical, find_format, numbers
from expt.parts.data.reading import told_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_CLASSES_OF_NUMBERS = 20
_FEWEST_OF_A_CLASS = 4


@dataclass(frozen=True)
class Targets:
    """The targets of a table.

    Attributes:
        task: What they ask for.
        values: Class numbers, int32 of shape [rows], or values, float64 of shape [rows, 1].
        class_names: In the order of their numbers; empty for values.
        notes: What a user should know of them, a sentence each.
    """

    task: Task
    values: NDArray[Any]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def make_targets(
    texts: "pd.Series[str]",
    task: Task | None,
    known: tuple[str, ...] = (),
    decimal: str = ".",
    thousands: str | None = None,
) -> Targets:
    """Makes targets of a column of text, none of which is missing.

    The name of a class is the text as it is written: `01` and `1` are two classes.

    Args:
        texts: The column.
        task: What the targets ask for; None infers it.
        known: The classes that a model knows, for whose evaluation the table is; else empty.
        decimal: The decimal separator of numbers.
        thousands: What is between thousands of numbers.

    Raises:
        UserError: The texts are no such targets.
    """
    notes: tuple[str, ...] = ()
    if known:
        return Targets("classification", _codes(texts, known), known)
    with told_of(
        advice="" if task else " If its values are names of classes: data.task=classification."
    ):
        how = None if task == "classification" else find_format(texts, decimal, thousands)
        values = None if how is None else numbers(texts, how)
    if task is None:
        task, note = _inferred(texts, values)
        notes = (note,)
    if task == "regression":
        if how is None:
            how = NumberFormat(decimal=decimal, thousands=thousands)
            values = numbers(texts, how)
        assert values is not None
        if how.describe():
            notes = (*notes, f"{texts.name!r} is read as {how.describe()}.")
        return Targets(task, values.to_numpy(np.float64)[:, None], (), notes)
    class_names = _class_names(texts)
    return Targets(task, _codes(texts, class_names), class_names, (*notes, *_alike(class_names)))


def _inferred(texts: "pd.Series[str]", values: "pd.Series[float] | None") -> tuple[Task, str]:
    """Infers the task; returns it with the reason."""
    name = repr(texts.name)
    if values is None:
        number = texts.nunique()
        return "classification", (
            f"task: classification, since {name} has texts that are no numbers ({number:,} "
            "different ones)."
        )
    num_different = texts.nunique()
    most = min(_MOST_CLASSES_OF_NUMBERS, len(values) // _FEWEST_OF_A_CLASS)
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
    """Returns the different texts: numbers in the order of their values, others by alphabet."""
    names = sorted(texts.unique())
    if len(names) < 2:
        raise UserError(
            f"data.target={texts.name} is {names[0]} on every row; expected at least two classes."
        )
    values = NumberFormat().parse(_series(names))
    if np.isnan(values).any():
        return tuple(names)
    fractions = [name for name, value in zip(names, values, strict=True) if value % 1 != 0]
    if fractions:
        raise UserError(
            f"data.target={texts.name} has {fractions[0]}; expected names or whole numbers for "
            "classes. For values: data.task=regression."
        )
    # Whole numbers of any size in their order; those that are equal by how they are written.
    return tuple(sorted(names, key=lambda name: (_whole(name), name)))


def _whole(text: str) -> int:
    bare = text.partition(".")[0] if "e" not in text.lower() else str(int(float(text)))
    return int(bare or 0)


def _alike(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Notes names that are the same number, written in several ways."""
    values = NumberFormat().parse(_series(class_names))
    by_value: dict[float, list[str]] = {}
    for name, value in zip(class_names, values, strict=True):
        if not np.isnan(value) and canonical(name.lstrip("0") or "0").isdigit():
            by_value.setdefault(int(_whole(name)), []).append(name)
    alike = next((names for names in by_value.values() if len(names) > 1), None)
    if alike is None:
        return ()
    named = " and ".join(map(repr, alike[:2]))
    return (f"{named} are different classes, as they are written.",)


def _codes(texts: "pd.Series[str]", class_names: tuple[str, ...]) -> NDArray[np.int32]:
    import pandas as pd

    index = pd.Index(class_names, dtype=object)
    codes = index.get_indexer(pd.Index(texts, dtype=object))
    if (codes < 0).any():
        by_number = {canonical(name): place for place, name in enumerate(class_names)}
        if len(by_number) == len(class_names):  # 1.0 is certain to be 1 if no other class is
            found = [by_number.get(canonical(text), -1) for text in texts]
            codes = np.where(codes < 0, found, codes)
    if (codes < 0).any():
        unknown = sorted(set(texts[codes < 0]))
        named = ", ".join(map(repr, unknown[:5])) + (" and others" if len(unknown) > 5 else "")
        raise UserError(
            f"{texts.name!r} has {int((codes < 0).sum()):,} labels that the model does not know: "
            f"{named}. It knows {', '.join(class_names[:10])}"
            f"{' and others' if len(class_names) > 10 else ''}."
        )
    return codes.astype(np.int32)


def _series(texts: Any) -> "pd.Series[str]":
    import pandas as pd

    return pd.Series(list(texts), dtype="str")
