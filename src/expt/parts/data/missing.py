"""Missing values of a table: which rows lack values, and the messages about them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expt.errors import UserError
from expt.parts.data.csv_files import MISSING
from expt.parts.data.labels import Targets
from expt.parts.data.names import join_names
from expt.parts.data.number_formats import quote_shortened

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MissingValues:
    """The rows of a table that lack required values.

    Attributes:
        rows: A mask of the rows that lack a required value.
        by_column: The number of missing values by column, as a text.
        na_values: The texts that mean a missing value, see `read_table`.
    """

    rows: "pd.Series[bool]"
    by_column: str
    na_values: Sequence[str] | None

    @classmethod
    def find(
        cls, table: "pd.DataFrame", needed: Sequence[str], na_values: Sequence[str] | None
    ) -> "MissingValues":
        """Finds the rows that lack a value in one of the needed columns."""
        blank = table[list(needed)] == ""
        # Spellings are listed too: a category called `NA` is a frequent surprise.
        texts = table.attrs.get("missing_texts", {})
        counts = [
            f"{name!r} {count:,}{_format_spellings(texts.get(name, {}))}"
            for name, count in blank.sum().items()
            if count
        ]
        return cls(blank.any(axis=1), join_names(counts), na_values)

    def refuse(self) -> None:
        """Raises an error that names the missing values and the options to handle them.

        Raises:
            UserError: Always.
        """
        texts = [quote_shortened(str(value)) for value in self.na_values or ()]
        written = f"the empty text and {join_names(texts)}"
        if self.na_values is None:
            written = f"empty values and {', '.join(filter(None, MISSING))}"
        elif not self.na_values:
            written = "empty values"
        raise UserError(
            f"{int(self.rows.sum()):,} of {len(self.rows):,} rows lack values, the first on line "
            f"{self.rows.index[self.rows][0]}; missing by column: {self.by_column}. What counts as "
            f"missing: {written}; if such texts are names, data.na_values=[] keeps them. "
            "data.missing=drop leaves such rows out, data.missing=impute fills inputs in "
            "(not targets, weights or groups), and data.ignore=[…] leaves columns out."
        )

    @property
    def advice(self) -> str:
        """A sentence for errors about the remaining rows; empty if no rows are dropped."""
        # A class may have too few rows only because others were dropped.
        if not self.rows.any():
            return ""
        return (
            f" data.missing=drop left out {int(self.rows.sum()):,} of {len(self.rows):,} rows; "
            f"missing by column: {self.by_column}."
        )

    def dropped_note(self, labels: "pd.Series[str]", targets: Targets, *, is_known: bool) -> str:
        """Returns a note on the dropped rows.

        Args:
            labels: The column of targets, in all rows.
            targets: The targets of the remaining rows.
            is_known: Whether the rows are for evaluating a trained model; they may then lack
                classes.

        Raises:
            UserError: If all rows of a class were dropped, unless `is_known`.
        """
        note = f"{int(self.rows.sum()):,} of {len(self.rows):,} rows lack values and were dropped; "
        note += f"missing by column: {self.by_column}."
        if targets.task != "classification":
            return note
        dropped, whole = Counter(labels[self.rows]), Counter(labels)
        # The model would silently have fewer outputs than the user's data has classes.
        gone = [name for name, count in whole.items() if name and count == dropped[name]]
        if gone and not is_known:
            raise UserError(
                f"data.missing=drop would leave no row of the class(es) {join_names(gone)}: all of "
                "their rows lack values. data.missing=impute keeps the rows, and data.ignore=[…] "
                f"leaves columns out; missing by column: {self.by_column}."
            )
        by_class = [
            f"{quote_shortened(name)} {count:,} of {whole[name]:,}"
            for name, count in dropped.most_common()
            if name
        ]
        note += f" By class: {join_names(by_class)}." if by_class else ""
        if labels.attrs.get("missing_texts", {}).get(labels.name):
            note += " If texts that count as missing are classes: data.na_values=[]."
        return note


def _format_spellings(texts: dict[str, int]) -> str:
    named = [f"{quote_shortened(text)} {count:,}" for text, count in texts.items()]
    return f" ({join_names(named, 3)})" if named else ""
